//! gRPC servers.

mod error;
mod message;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT},
    http::uri::{Authority, Scheme},
};

pub use self::{
    error::{GrpcError, GrpcProblem},
    message::ServingStatus,
};
use crate::{
    Connect, HealthProbe, ProbeError, Success, Target,
    http::{
        of_hyper,
        wire::{Stream, by_http2},
    },
};
#[cfg(feature = "tls")]
use crate::{
    Tls, TlsError, TlsProblem,
    tls::{Closing, HTTP_2},
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
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
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
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The same with the name of a host, with or without a port, as a proxy may want it
    /// (`:authority`). Without it that is the address and port connected to.
    ///
    /// # Errors
    /// It is no host name.
    pub fn authority(mut self, host: &str) -> Result<Self, AuthorityError> {
        let parsed = host.parse::<Authority>();
        let parsed = parsed.ok().filter(|host| !host.as_str().contains('@'));
        self.authority = Some(parsed.ok_or_else(|| AuthorityError(host.to_owned()))?);
        Ok(self)
    }

    /// The same with TLS. The certificate has to be for the [`Self::authority`], or else for the
    /// address connected to, unless [`TlsOptions::name`](crate::TlsOptions::name) says otherwise.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    fn request(&self, target: &Target, scheme: Scheme) -> Result<Request<Full<Bytes>>, Failure> {
        let frame = message::request(&self.service).ok_or(GrpcProblem::Unsendable(
            "the name of the service is too long",
        ))?;
        let unsendable = || GrpcProblem::Unsendable("the address cannot be written as a host");
        let authority = match &self.authority {
            Some(authority) => authority.clone(),
            None => Authority::try_from(self.connect.destination(target).to_string())
                .map_err(|_| unsendable())?,
        };
        let uri = Uri::builder()
            .scheme(scheme)
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
        let (stream, scheme, warning) = self.connected(target).await?;
        let asked = async { by_http2(stream, self.request(target, scheme)?, judge).await };
        match asked.await {
            Ok(()) => Ok(Success {
                warning,
                ..Success::default()
            }),
            Err(failure) => Err(self.explain(failure, target)),
        }
    }

    /// A connection, what it makes of the request's scheme, and a warning about its certificate.
    async fn connected(
        &self,
        target: &Target,
    ) -> Result<(Stream, Scheme, Option<String>), ProbeError> {
        let stream = self.connect.tcp(target).await?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let address = self.connect.destination(target);
            let ip = address.ip().to_string();
            let name = self.authority.as_ref().map_or(ip.as_str(), |authority| {
                authority.host().trim_matches(['[', ']'])
            });
            let (stream, warning) = tls.wrap(stream, address, name, &[HTTP_2]).await?;
            if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
                let problem = Box::new(TlsProblem::NoHttp2);
                return Err(TlsError { address, problem }.into());
            }
            let stream = Box::new(Closing::new(stream, false));
            return Ok((stream, Scheme::HTTPS, warning));
        }
        Ok((Box::new(stream), Scheme::HTTP, None))
    }

    fn explain(&self, failure: Failure, target: &Target) -> ProbeError {
        let address = self.connect.destination(target);
        let doing = "telling its health";
        let problem = match failure {
            Failure::Problem(problem) => problem,
            Failure::TooLong => {
                return ProbeError::TooLong {
                    address,
                    doing,
                    limit: MOST_OF_ANSWER,
                };
            }
            Failure::Hyper(error) => match of_hyper(address, doing, &error) {
                Ok(error) => return error,
                Err(reason) => GrpcProblem::Http2(reason),
            },
        };
        let service = self.service.clone();
        GrpcError {
            address,
            service,
            problem,
        }
        .into()
    }
}

/// Why an answer was not good.
enum Failure {
    Problem(GrpcProblem),
    TooLong,
    Hyper(hyper::Error),
}

impl From<GrpcProblem> for Failure {
    fn from(problem: GrpcProblem) -> Self {
        Self::Problem(problem)
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Hyper(error)
    }
}

async fn judge(response: Response<Incoming>) -> Result<(), Failure> {
    let (head, mut incoming) = response.into_parts();
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
    let mut body = Vec::new();
    let mut ended = None;
    while let Some(frame) = incoming.frame().await {
        match frame?.into_data() {
            Ok(data) if body.len().saturating_add(data.len()) > MOST_OF_ANSWER => {
                return Err(Failure::TooLong);
            }
            Ok(data) => body.extend_from_slice(&data),
            Err(other) => ended = other.into_trailers().ok(),
        }
    }
    ended
        .as_ref()
        .and_then(outcome)
        .unwrap_or(Err(GrpcProblem::Malformed("it ends without a status")))?;
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
            let request = probe.request(&Target::new(address.parse().unwrap()), Scheme::HTTP);
            let request = request.ok().unwrap();
            assert_eq!(request.uri(), uri);
            assert_eq!(request.method(), Method::POST);
            assert_eq!(request.headers()[TE], "trailers");
            assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
        }
    }
}
