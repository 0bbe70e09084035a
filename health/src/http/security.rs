//! HTTP on TLS, or on none.

use std::net::SocketAddr;

use hyper::http::uri::Scheme;
use tokio::net::TcpStream;

use super::{HttpVersion, Stream};
use crate::ProbeError;
#[cfg(feature = "tls")]
use crate::{
    Tls, TlsError, TlsProblem,
    tls::{Closing, HTTP_2},
};

/// TLS, if there is to be any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

/// What TLS has to know of what is asked.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "it is for TLS"))]
pub(crate) struct Asked<'a> {
    /// The server's.
    pub(crate) address: SocketAddr,
    /// The virtual host, if there is one.
    pub(crate) host: Option<&'a str>,
    /// What is to be spoken on it.
    pub(crate) version: HttpVersion,
    /// Whether an end without a closure is an error, with HTTP/1.
    pub(crate) strict: bool,
}

impl Security {
    #[cfg(feature = "tls")]
    pub(crate) const fn by(tls: Tls) -> Self {
        Self { tls: Some(tls) }
    }

    pub(crate) const fn is_on(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    pub(crate) const fn scheme(&self) -> Scheme {
        if self.is_on() {
            return Scheme::HTTPS;
        }
        Scheme::HTTP
    }

    /// Shakes hands, if TLS is to be spoken. Gives a warning too where there is one.
    #[cfg(feature = "tls")]
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        asked: Asked<'_>,
    ) -> Result<(Stream, Option<String>), ProbeError> {
        let Some(tls) = &self.tls else {
            return Ok((Box::new(stream), None));
        };
        let address = asked.address;
        let ip = address.ip().to_string();
        let protocols: &[&[u8]] = match asked.version {
            HttpVersion::V1_0 | HttpVersion::V1_0Close => &[],
            HttpVersion::V1_1 => &[b"http/1.1"],
            HttpVersion::V2 => &[HTTP_2],
        };
        let name = asked.host.unwrap_or(&ip);
        let (stream, warning) = tls.wrap(stream, address, name, protocols).await?;
        let http2 = asked.version == HttpVersion::V2;
        if http2 && stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
            let problem = Box::new(TlsProblem::NoHttp2);
            return Err(TlsError { address, problem }.into());
        }
        let stream = Closing::new(stream, asked.strict && !http2);
        Ok((Box::new(stream), warning))
    }

    /// Without feature `tls` a connection stays as it is.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with feature `tls` it waits")]
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        _: Asked<'_>,
    ) -> Result<(Stream, Option<String>), ProbeError> {
        Ok((Box::new(stream), None))
    }
}
