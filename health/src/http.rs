//! Web servers.

mod digest;
mod error;
mod expect;
mod failure;
mod page;
mod pattern;
mod security;
mod status;
pub(crate) mod wire;

use std::net::SocketAddr;

use async_trait::async_trait;
use hyper::{Response, body::Incoming};

#[cfg(feature = "grpc")]
pub(crate) use self::page::{authority, authority_of, name_of};
pub use self::{
    digest::{BodyDigest, DigestError},
    error::{HttpError, HttpProblem},
    expect::HttpExpect,
    page::{HttpPage, HttpPageError},
    pattern::{BodyPattern, PatternOptions},
    status::{StatusRange, StatusRangeError},
};
pub(crate) use self::{
    failure::Failure,
    security::{Asked, Security},
    wire::Stream,
};
#[cfg(feature = "tls")]
use crate::Tls;
use crate::{Connect, HealthProbe, ProbeError, Success, Target};

/// Asks a web server for a page: keepalived's `HTTP_GET`, and `SSL_GET` with TLS.
///
/// ```
/// use health::{Connect, HttpPage, HttpProbe};
///
/// # fn main() -> Result<(), health::HttpPageError> {
/// let page = HttpPage::new("/health")?.host("www.example.net")?;
/// let probe = HttpProbe::new(Connect::default(), page);
/// # Ok(())
/// # }
/// ```
///
/// Each probe is a connection of its own. With several pages it asks for the one of
/// [`Target::step`]; the check then has as many [`steps`](crate::CheckConfig::steps).
///
/// Redirections are not followed: they are a status like any other.
#[derive(Debug, Clone)]
pub struct HttpProbe {
    connect: Connect,
    version: HttpVersion,
    pages: Vec<HttpPage>,
    security: Security,
}

/// How a web server is spoken to. Which version it answers with is its own affair, except for
/// HTTP/2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.0.
    V1_0,
    /// HTTP/1.0 with `Connection: close` (keepalived's `1.0C`).
    V1_0Close,
    /// HTTP/1.1 with `Connection: close`.
    #[default]
    V1_1,
    /// HTTP/2: without TLS by prior knowledge (RFC 9113 §3.3), with TLS by ALPN.
    V2,
}

impl HttpVersion {
    const fn name(self) -> &'static str {
        match self {
            Self::V1_0 | Self::V1_0Close => "HTTP/1.0",
            Self::V1_1 => "HTTP/1.1",
            Self::V2 => "HTTP/2",
        }
    }
}

impl HttpProbe {
    /// A probe that asks for a page by HTTP/1.1.
    #[must_use]
    pub fn new(connect: Connect, page: HttpPage) -> Self {
        Self {
            connect,
            version: HttpVersion::default(),
            pages: vec![page],
            security: Security::default(),
        }
    }

    /// The same with a page more, for the next step.
    #[must_use]
    pub fn and(mut self, page: HttpPage) -> Self {
        self.pages.push(page);
        self
    }

    /// The same by another version.
    #[must_use]
    pub const fn version(mut self, version: HttpVersion) -> Self {
        self.version = version;
        self
    }

    /// The same by TLS: HTTPS. Its certificate must be for the virtual host of the page, or else
    /// for the address connected to, unless [`TlsOptions::name`](crate::TlsOptions::name) says
    /// otherwise.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.security = Security::by(tls);
        self
    }

    async fn ask(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = self.connect.destination(target);
        let step = usize::try_from(target.step).unwrap_or(usize::MAX);
        let page = self.pages.get(step).ok_or_else(|| HttpError {
            address,
            path: String::new(),
            problem: Box::new(HttpProblem::NoPage {
                step: target.step,
                pages: self.pages.len(),
            }),
        })?;
        let stream = self.connect.tcp(target).await?;
        let asked = Asked {
            address,
            host: page.host_name(),
            version: self.version,
            strict: page.wants_closure(),
        };
        let (stream, warning) = self.security.secure(stream, asked).await?;
        self.ask_for(page, stream, address)
            .await
            .map_err(|failure| self.explain(failure, page, address))?;
        Ok(Success {
            warning,
            ..Success::default()
        })
    }

    async fn ask_for(
        &self,
        page: &HttpPage,
        stream: Stream,
        address: SocketAddr,
    ) -> Result<(), Failure<HttpProblem>> {
        let request = page.request(address, self.version, self.security.scheme())?;
        let judge = async |response| judge(response, page).await;
        match self.version {
            HttpVersion::V1_0 | HttpVersion::V1_0Close | HttpVersion::V1_1 => {
                let ((), mut stream) = wire::by_http1(stream, request, judge).await?;
                if page.wants_closure() && self.security.is_on() {
                    let rest = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    rest.map_err(Failure::Closing)?;
                }
            }
            HttpVersion::V2 => wire::by_http2(stream, request, judge).await?,
        }
        Ok(())
    }

    fn explain(
        &self,
        failure: Failure<HttpProblem>,
        page: &HttpPage,
        address: SocketAddr,
    ) -> ProbeError {
        let expected = self.version.name();
        match failure.explain(address, |reason| HttpProblem::NotHttp { expected, reason }) {
            Err(error) => error,
            Ok(problem) => HttpError {
                address,
                path: page.path().to_string(),
                problem: Box::new(problem),
            }
            .into(),
        }
    }
}

impl From<HttpProblem> for Failure<HttpProblem> {
    fn from(problem: HttpProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<hyper::http::Error> for Failure<HttpProblem> {
    fn from(error: hyper::http::Error) -> Self {
        let reason = error.to_string();
        Self::Problem(HttpProblem::Unsendable { reason })
    }
}

async fn judge(response: Response<Incoming>, page: &HttpPage) -> Result<(), Failure<HttpProblem>> {
    let expect = page.expectations();
    expect.judge_status(response.status().as_u16())?;
    if expect.wants_body() {
        let (body, _) = wire::read(response.into_body(), expect.most()).await?;
        expect.judge_body(&body)?;
    }
    Ok(())
}

#[async_trait]
impl HealthProbe for HttpProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let ask = self.ask(target);
        self.connect
            .bounded(target, "asking it for a page", ask)
            .await
    }
}
