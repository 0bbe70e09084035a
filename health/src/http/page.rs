//! What a web server is asked for.

use std::{fmt, net::SocketAddr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::Full;
use hyper::{
    Method, Request, Uri, Version,
    body::Bytes,
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
    },
    http::uri::{Authority, PathAndQuery, Scheme},
};

use super::{HttpExpect, HttpVersion};

/// A page that a web server is asked for with `GET`, and what the response has to be like.
///
/// Debug output leaves out the values of headers, as they may hold a password.
#[derive(Clone)]
pub struct HttpPage {
    method: Method,
    path: PathAndQuery,
    host: Option<Authority>,
    headers: HeaderMap,
    expect: HttpExpect,
    tls_compliant: bool,
}

/// What cannot be sent to a web server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpPageError {
    /// The path is none.
    #[error("\"{}\" is no path of a web server: it begins with / and has other characters escaped (%20)", .0.escape_debug())]
    Path(String),
    /// The virtual host is none.
    #[error("\"{}\" is no host name with or without a port", .0.escape_debug())]
    Host(String),
    /// The name of a header is none.
    #[error("\"{}\" is no name of a header", .0.escape_debug())]
    HeaderName(String),
    /// The value of a header is none. It is not shown, as it may be a password.
    #[error("the value of header {name} has characters that cannot be sent")]
    HeaderValue {
        /// The header.
        name: String,
    },
    /// The user of basic authentication has a colon in the name (RFC 7617 §2).
    #[error("user \"{}\" has a colon in the name, which basic authentication cannot send", .0.escape_debug())]
    User(String),
}

impl HttpPage {
    /// The page at a path, such as `/health?full=1`, which is sent as it is.
    ///
    /// The headers `Host` (address and port connected to), `User-Agent` and `Accept` are sent too,
    /// unless [`Self::host`] and [`Self::header`] say otherwise.
    ///
    /// # Errors
    /// The path does not begin with `/`, or has characters that a path cannot have.
    pub fn new(path: &str) -> Result<Self, HttpPageError> {
        let wrong = || HttpPageError::Path(path.to_owned());
        if !path.starts_with('/') || path.contains('#') {
            return Err(wrong());
        }
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("takeover-health"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        Ok(Self {
            method: Method::GET,
            path: path.parse().map_err(|_| wrong())?,
            host: None,
            headers,
            expect: HttpExpect::default(),
            tls_compliant: false,
        })
    }

    /// The same with `HEAD`: the response has no body.
    #[must_use]
    pub fn head(mut self) -> Self {
        self.method = Method::HEAD;
        self
    }

    /// The same of a virtual host, with or without a port (`virtualhost`). It is also the name that
    /// is asked for by TLS, and that the certificate must be for, unless that is said otherwise.
    ///
    /// # Errors
    /// It is no host name.
    pub fn host(mut self, host: &str) -> Result<Self, HttpPageError> {
        self.host = Some(authority(host)?);
        Ok(self)
    }

    /// The same with a header. It replaces what was said of that header before.
    ///
    /// # Errors
    /// The name is none, is `Host` (see [`Self::host`]), or the value cannot be sent.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, HttpPageError> {
        let wrong = || HttpPageError::HeaderName(name.to_owned());
        let key = name.parse::<HeaderName>().map_err(|_| wrong())?;
        if key == HOST || key == CONNECTION {
            return Err(wrong());
        }
        let value = HeaderValue::from_str(value).map_err(|_| HttpPageError::HeaderValue {
            name: name.to_owned(),
        })?;
        self.headers.insert(key, value);
        Ok(self)
    }

    /// The same with the name and the password of a user (RFC 7617), in UTF-8. Without TLS anybody
    /// on the way can read them.
    ///
    /// # Errors
    /// The name has a colon in it.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Result<Self, HttpPageError> {
        if user.contains(':') {
            return Err(HttpPageError::User(user.to_owned()));
        }
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let value = HeaderValue::from_str(&format!("Basic {encoded}"));
        let mut value = value.map_err(|_| HttpPageError::HeaderValue {
            name: AUTHORIZATION.to_string(),
        })?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }

    /// The same with other expectations than a status from 200 to 299.
    #[must_use]
    pub fn expect(mut self, expect: HttpExpect) -> Self {
        self.expect = expect;
        self
    }

    /// The same, but a server that ends the connection without the closure of TLS (RFC 8446 §6.1)
    /// fails (`tls_compliant`). It means nothing without TLS and with HTTP/2, and it waits until
    /// the server closes.
    #[must_use]
    pub const fn tls_compliant(mut self) -> Self {
        self.tls_compliant = true;
        self
    }

    pub(super) const fn path(&self) -> &PathAndQuery {
        &self.path
    }

    pub(super) const fn expectations(&self) -> &HttpExpect {
        &self.expect
    }

    pub(super) const fn wants_closure(&self) -> bool {
        self.tls_compliant
    }

    /// The virtual host without its port.
    pub(super) fn host_name(&self) -> Option<&str> {
        self.host.as_ref().map(name_of)
    }

    /// The request as a server at an address gets it.
    pub(super) fn request(
        &self,
        address: SocketAddr,
        version: HttpVersion,
        scheme: Scheme,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let host = match &self.host {
            Some(host) => host.clone(),
            None => authority_of(address)?,
        };
        let mut request = Request::new(Full::default());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if version == HttpVersion::V2 {
            let uri = Uri::builder().scheme(scheme).authority(host);
            *request.uri_mut() = uri.path_and_query(self.path.clone()).build()?;
            *request.version_mut() = Version::HTTP_2;
            return Ok(request);
        }
        *request.uri_mut() = self.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(host.as_str())?);
        if version != HttpVersion::V1_0 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        *request.version_mut() = match version {
            HttpVersion::V1_0 | HttpVersion::V1_0Close => Version::HTTP_10,
            HttpVersion::V1_1 | HttpVersion::V2 => Version::HTTP_11,
        };
        Ok(request)
    }
}

/// A host name or address with or without a port.
pub(crate) fn authority(host: &str) -> Result<Authority, HttpPageError> {
    let parsed = host.parse::<Authority>().ok();
    let parsed = parsed.filter(|host| !host.as_str().contains('@'));
    parsed.ok_or_else(|| HttpPageError::Host(host.to_owned()))
}

/// The name without the port.
pub(crate) fn name_of(host: &Authority) -> &str {
    host.host().trim_start_matches('[').trim_end_matches(']')
}

/// A server without a name is called by its address.
pub(crate) fn authority_of(address: SocketAddr) -> Result<Authority, hyper::http::Error> {
    // A scope, as in fe80::1%2, is nobody else's business.
    let address = SocketAddr::new(address.ip(), address.port());
    Ok(Authority::try_from(address.to_string())?)
}

impl fmt::Debug for HttpPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPage")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("host", &self.host)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("expect", &self.expect)
            .field("tls_compliant", &self.tls_compliant)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_another_request_is_refused() {
        for path in [
            "",
            "health",
            "/a b",
            "/a\r\nX: y",
            "/#part",
            "*",
            "http://a/",
        ] {
            assert!(HttpPage::new(path).is_err(), "{path}");
        }
        let page = HttpPage::new("/").unwrap();
        for host in ["", "a b", "a\r\nb", "user@host", "a/b"] {
            assert!(page.clone().host(host).is_err(), "{host}");
        }
        for (name, value) in [("", "x"), ("a b", "x"), ("Host", "x"), ("X", "a\r\nb")] {
            let error = page.clone().header(name, value).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(page.basic_auth("a:b", "c").is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let page = HttpPage::new("/").unwrap();
        let page = page.basic_auth("me", "secret").unwrap();
        let page = page.header("X-Token", "secret").unwrap();
        let shown = format!("{page:?}");
        assert!(
            shown.contains("authorization") && shown.contains("x-token"),
            "{shown}"
        );
        assert!(
            !shown.contains("secret") && !shown.contains("bWU6"),
            "{shown}"
        );
    }
}
