//! Web servers.

mod digest;
mod error;
mod expect;
mod page;
mod pattern;
mod status;
mod wire;

use std::net::SocketAddr;

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming, http::uri::Scheme};

pub use self::{
    digest::{BodyDigest, DigestError},
    error::{HttpError, HttpProblem},
    expect::HttpExpect,
    page::{HttpPage, HttpPageError},
    pattern::{BodyPattern, PatternOptions},
    status::{StatusRange, StatusRangeError},
};
use self::{error::of_hyper, wire::Stream};
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
        let stream: Stream = Box::new(self.connect.tcp(target).await?);
        self.ask_for(page, stream, address)
            .await
            .map_err(|failure| self.explain(failure, page, address))?;
        Ok(Success::default())
    }

    async fn ask_for(
        &self,
        page: &HttpPage,
        stream: Stream,
        address: SocketAddr,
    ) -> Result<(), Failure> {
        let scheme = Scheme::HTTP;
        let request = page.request(address, self.version, scheme)?;
        let judge = async |response| judge(response, page).await;
        match self.version {
            HttpVersion::V1_0 | HttpVersion::V1_0Close | HttpVersion::V1_1 => {
                wire::by_http1(stream, request, judge).await?;
            }
            HttpVersion::V2 => wire::by_http2(stream, request, judge).await?,
        }
        Ok(())
    }

    fn explain(&self, failure: Failure, page: &HttpPage, address: SocketAddr) -> ProbeError {
        let problem = match failure {
            Failure::Problem(problem) => problem,
            Failure::TooLong { limit } => {
                return ProbeError::TooLong {
                    address,
                    doing: "sending a page",
                    limit,
                };
            }
            Failure::Hyper(doing, error) => match of_hyper(address, doing, &error) {
                Ok(error) => return error,
                Err(reason) => HttpProblem::NotHttp {
                    expected: self.version.name(),
                    reason,
                },
            },
        };
        let path = page.path().to_string();
        let problem = Box::new(problem);
        HttpError {
            address,
            path,
            problem,
        }
        .into()
    }
}

/// Why a page was not good.
enum Failure {
    Problem(HttpProblem),
    TooLong { limit: usize },
    Hyper(&'static str, hyper::Error),
}

impl From<HttpProblem> for Failure {
    fn from(problem: HttpProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<hyper::http::Error> for Failure {
    fn from(error: hyper::http::Error) -> Self {
        let reason = error.to_string();
        Self::Problem(HttpProblem::Unsendable { reason })
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Hyper("waiting for its response", error)
    }
}

async fn judge(response: Response<Incoming>, page: &HttpPage) -> Result<(), Failure> {
    let expect = page.expectations();
    expect.judge_status(response.status().as_u16())?;
    if !expect.wants_body() {
        return Ok(());
    }
    let limit = expect.most();
    let mut body = Vec::new();
    let mut incoming = response.into_body();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| Failure::Hyper("reading a page", error))?;
        if let Ok(data) = frame.into_data() {
            if body.len().saturating_add(data.len()) > limit {
                return Err(Failure::TooLong { limit });
            }
            body.extend_from_slice(&data);
        }
    }
    Ok(expect.judge_body(&body)?)
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
