//! Web servers.

mod digest;
mod error;
mod expect;
mod page;
mod pattern;
mod status;
pub(crate) mod wire;

use std::{io, net::SocketAddr};

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    http::uri::Scheme,
};

pub(crate) use self::error::of_hyper;
use self::wire::Stream;
pub use self::{
    digest::{BodyDigest, DigestError},
    error::{HttpError, HttpProblem},
    expect::HttpExpect,
    page::{HttpPage, HttpPageError},
    pattern::{BodyPattern, PatternOptions},
    status::{StatusRange, StatusRangeError},
};
use crate::{Connect, HealthProbe, ProbeError, Success, Target, connect::while_talking};
#[cfg(feature = "tls")]
use crate::{Tls, TlsError, TlsProblem, tls::Closing};

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
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
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
            #[cfg(feature = "tls")]
            tls: None,
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
        self.tls = Some(tls);
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
        let (stream, scheme, warning) = self.open(page, target, address).await?;
        let request = page.request(address, self.version, scheme);
        let asked = async { self.ask_for(page, stream, request?).await };
        asked
            .await
            .map_err(|failure| self.explain(failure, page, address))?;
        Ok(Success {
            warning,
            ..Success::default()
        })
    }

    /// A connection on which a page can be asked for, and what should be looked after soon.
    async fn open(
        &self,
        #[cfg_attr(
            not(feature = "tls"),
            expect(unused_variables, reason = "its name is for TLS")
        )]
        page: &HttpPage,
        target: &Target,
        #[cfg_attr(
            not(feature = "tls"),
            expect(unused_variables, reason = "for errors of TLS")
        )]
        address: SocketAddr,
    ) -> Result<(Stream, Scheme, Option<String>), ProbeError> {
        let stream = self.connect.tcp(target).await?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let ip = address.ip().to_string();
            let name = page.host_name().unwrap_or(&ip);
            let protocols: &[&[u8]] = match self.version {
                HttpVersion::V1_0 | HttpVersion::V1_0Close => &[],
                HttpVersion::V1_1 => &[b"http/1.1"],
                HttpVersion::V2 => &[crate::tls::HTTP_2],
            };
            let (stream, warning) = tls.wrap(stream, address, name, protocols).await?;
            if self.version == HttpVersion::V2
                && stream.get_ref().1.alpn_protocol() != Some(crate::tls::HTTP_2)
            {
                let problem = Box::new(TlsProblem::NoHttp2);
                return Err(TlsError { address, problem }.into());
            }
            let strict = page.wants_closure() && self.version != HttpVersion::V2;
            let stream: Stream = Box::new(Closing::new(stream, strict));
            return Ok((stream, Scheme::HTTPS, warning));
        }
        Ok((Box::new(stream), Scheme::HTTP, None))
    }

    async fn ask_for(
        &self,
        page: &HttpPage,
        stream: Stream,
        request: Request<Full<Bytes>>,
    ) -> Result<(), Failure> {
        let judge = async |response| judge(response, page).await;
        match self.version {
            HttpVersion::V1_0 | HttpVersion::V1_0Close | HttpVersion::V1_1 => {
                let ((), mut stream) = wire::by_http1(stream, request, judge).await?;
                if page.wants_closure() && self.has_tls() {
                    let rest = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    rest.map_err(Failure::Closing)?;
                }
            }
            HttpVersion::V2 => wire::by_http2(stream, request, judge).await?,
        }
        Ok(())
    }

    const fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
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
            Failure::Closing(error) => {
                #[cfg(feature = "tls")]
                if let Some(error) = crate::tls::after_handshake(address, &error) {
                    return error;
                }
                return while_talking(address, "waiting for its closure", error);
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
    TooLong {
        limit: usize,
    },
    Hyper(&'static str, hyper::Error),
    /// The page was good, but not the end of the connection.
    Closing(io::Error),
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
