//! gRPC servers.

mod error;
mod message;

use std::net::SocketAddr;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT},
    http::uri::Authority,
};

pub use self::{
    error::{GrpcError, GrpcProblem},
    message::ServingStatus,
};
#[cfg(feature = "tls")]
use crate::Tls;
use crate::{
    Connect, HealthProbe, HttpVersion, ProbeError, Success, Target,
    http::{Asked, Failure, Security, authority, authority_of, name_of, wire},
};

/// The most that is read of an answer, in bytes. A good one has seven.
const MOST_OF_ANSWER: usize = 1024;

/// Asks a gRPC server whether a service does its work: `grpc.health.v1.Health/Check`, of which only
/// SERVING passes. keepalived has no such check.
///
/// ```
/// use health::{Connect, GrpcProbe};
///
/// let probe = GrpcProbe::new(Connect::default(), "shop.v1.Orders");
/// ```
///
/// Each probe is a connection of its own, by HTTP/2: without TLS by prior knowledge (RFC 9113
/// §3.3), with TLS by ALPN.
#[derive(Debug, Clone)]
pub struct GrpcProbe {
    connect: Connect,
    service: String,
    authority: Option<Authority>,
    security: Security,
}

/// What cannot be sent as the name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no host name with or without a port", .0.escape_debug())]
pub struct AuthorityError(String);

impl GrpcProbe {
    /// A probe of a service by its full name, such as `shop.v1.Orders`; empty: of the server as a
    /// whole.
    pub fn new(connect: Connect, service: impl Into<String>) -> Self {
        Self {
            connect,
            service: service.into(),
            authority: None,
            security: Security::default(),
        }
    }

    /// The same with the name of a host, with or without a port, as a proxy may want it
    /// (`:authority`). Without it that is the address and port connected to.
    ///
    /// # Errors
    /// It is no host name.
    pub fn authority(mut self, host: &str) -> Result<Self, AuthorityError> {
        let parsed = authority(host);
        self.authority = Some(parsed.map_err(|_| AuthorityError(host.to_owned()))?);
        Ok(self)
    }

    /// The same with TLS. The certificate has to be for the [`Self::authority`], or else for the
    /// address connected to, unless [`TlsOptions::name`](crate::TlsOptions::name) says otherwise.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.security = Security::by(tls);
        self
    }

    fn request(&self, address: SocketAddr) -> Result<Request<Full<Bytes>>, GrpcProblem> {
        let frame = message::request(&self.service).ok_or(GrpcProblem::Unsendable(
            "the name of the service is too long",
        ))?;
        let unsendable = || GrpcProblem::Unsendable("the address cannot be written as a host");
        let authority = match &self.authority {
            Some(authority) => authority.clone(),
            None => authority_of(address).map_err(|_| unsendable())?,
        };
        let uri = Uri::builder()
            .scheme(self.security.scheme())
            .authority(authority)
            .path_and_query("/grpc.health.v1.Health/Check")
            .build()
            .map_err(|_| unsendable())?;
        let mut request = Request::new(Full::from(frame));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let agent = concat!("takeover-health/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        Ok(request)
    }

    async fn ask(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = self.connect.destination(target);
        let stream = self.connect.tcp(target).await?;
        let asked = Asked {
            address,
            host: self.authority.as_ref().map(name_of),
            version: HttpVersion::V2,
            strict: false,
        };
        let (stream, warning) = self.security.secure(stream, asked).await?;
        let asked = async { wire::by_http2(stream, self.request(address)?, judge).await };
        match asked.await {
            Ok(()) => Ok(Success {
                warning,
                ..Success::default()
            }),
            Err(failure) => Err(self.explain(failure, address)),
        }
    }

    fn explain(&self, failure: Failure<GrpcProblem>, address: SocketAddr) -> ProbeError {
        match failure.explain(address, GrpcProblem::Http2) {
            Err(error) => error,
            Ok(problem) => GrpcError {
                address,
                service: self.service.clone(),
                problem,
            }
            .into(),
        }
    }
}

impl From<GrpcProblem> for Failure<GrpcProblem> {
    fn from(problem: GrpcProblem) -> Self {
        Self::Problem(problem)
    }
}

async fn judge(response: Response<Incoming>) -> Result<(), Failure<GrpcProblem>> {
    let (head, incoming) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(GrpcProblem::HttpStatus(head.status.as_u16()).into());
    }
    let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default();
    if !kind.starts_with(b"application/grpc") {
        return Err(GrpcProblem::NotGrpc(kind.to_owned()).into());
    }
    // A call that fails at once has its status in the head and nothing after it.
    if let Some(outcome) = outcome(&head.headers) {
        outcome?;
    }
    let (body, trailers) = wire::read(incoming, MOST_OF_ANSWER).await?;
    outcome(&trailers).unwrap_or(Err(GrpcProblem::Malformed("it ends without a status")))?;
    let status = message::response(&body).map_err(GrpcProblem::Malformed)?;
    if status == ServingStatus::Serving {
        return Ok(());
    }
    Err(GrpcProblem::Status(status).into())
}

/// How a call ended, if that is told here.
fn outcome(headers: &HeaderMap) -> Option<Result<(), GrpcProblem>> {
    let code = headers.get("grpc-status")?;
    let code = code.to_str().ok().and_then(|code| code.parse().ok());
    Some(match code {
        Some(0) => Ok(()),
        Some(5) => Err(GrpcProblem::UnknownService),
        Some(12) => Err(GrpcProblem::NoHealthService),
        Some(code) => Err(GrpcProblem::Failed {
            code,
            message: headers
                .get("grpc-message")
                .map_or_else(Vec::new, |message| message.as_bytes().to_owned()),
        }),
        None => Err(GrpcProblem::Malformed("its status is no number")),
    })
}

#[async_trait]
impl HealthProbe for GrpcProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let ask = self.ask(target);
        self.connect
            .bounded(target, "telling its health", ask)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_would_be_another_is_refused() {
        let probe = GrpcProbe::new(Connect::default(), "");
        for good in ["orders.example.net", "orders:50051", "[2001:db8::1]:50051"] {
            probe.clone().authority(good).unwrap();
        }
        for bad in ["", "a b", "a\r\nb", "user@host", "a/b"] {
            let error = probe.clone().authority(bad).unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_request_says_what_the_protocol_wants() {
        let probe = GrpcProbe::new(Connect::default(), "a");
        for (address, uri) in [
            (
                "192.0.2.1:50051",
                "http://192.0.2.1:50051/grpc.health.v1.Health/Check",
            ),
            (
                "[2001:db8::1]:80",
                "http://[2001:db8::1]:80/grpc.health.v1.Health/Check",
            ),
        ] {
            let request = probe.request(address.parse().unwrap()).unwrap();
            assert_eq!(request.uri(), uri);
            assert_eq!(request.method(), Method::POST);
            assert_eq!(request.headers()[TE], "trailers");
            assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
        }
    }
}
