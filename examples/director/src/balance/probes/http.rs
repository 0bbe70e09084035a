//! `HTTP_GET` and `SSL_GET`.

use std::{error::Error, fs};

use health::{
    BodyDigest, BodyPattern, HttpExpect, HttpPage, HttpProbe, HttpVersion, PatternOptions,
    StatusRange, Tls, TlsIdentity, TlsOptions, ToldName,
};

use super::connect;
use crate::conf::model::{self, HttpCheck, ServerName, TlsClient, Url};

/// What keepalived calls itself; servers' logs are filtered by it.
const USER_AGENT: &str = "KeepAliveClient";

pub(super) fn http_probe(
    check: &HttpCheck,
    client: Option<&TlsClient>,
) -> Result<HttpProbe, Box<dyn Error>> {
    let (first, others) = check.urls.split_first().ok_or("it asks for no page")?;
    let mut probe = HttpProbe::new(connect(&check.connect), page(first)?);
    for url in others {
        probe = probe.and(page(url)?);
    }
    if let Some(name) = &check.tls {
        probe = probe.tls(tls(name, client)?);
    }
    Ok(probe.version(match check.version {
        model::HttpVersion::V1_0 => HttpVersion::V1_0,
        model::HttpVersion::V1_0Close => HttpVersion::V1_0Close,
        model::HttpVersion::V1_1 => HttpVersion::V1_1,
    }))
}

fn page(url: &Url) -> Result<HttpPage, Box<dyn Error>> {
    let mut page = HttpPage::new(&url.path)?.header("user-agent", USER_AGENT)?;
    if let Some(host) = &url.virtual_host {
        page = page.host(host)?;
    }
    if url.tls_compliant {
        page = page.tls_compliant();
    }
    Ok(page.expect(expect(url)?))
}

fn expect(url: &Url) -> Result<HttpExpect, Box<dyn Error>> {
    let mut ranges = Vec::new();
    for range in &url.status {
        ranges.push(StatusRange::new(range.first, range.last)?);
    }
    let mut expect = HttpExpect::default().status(ranges);
    if let Some(digest) = url.digest {
        expect = expect.digest(BodyDigest::Md5(digest));
    }
    if let Some(regex) = &url.regex {
        let options = PatternOptions {
            caseless: regex.options.caseless,
            multiline: regex.options.multiline,
            dotall: regex.options.dotall,
            extended: regex.options.extended,
            ungreedy: regex.options.ungreedy,
        };
        let pattern = BodyPattern::new(&regex.pattern, options)?;
        let pattern = pattern.between(regex.min_offset, regex.max_offset);
        expect = expect.pattern(if regex.no_match {
            pattern.absent()
        } else {
            pattern
        });
    }
    Ok(expect)
}

/// As keepalived, which takes any certificate whatever the file says.
fn tls(name: &ServerName, client: Option<&TlsClient>) -> Result<Tls, Box<dyn Error>> {
    let mut options = TlsOptions::insecure();
    options.told_name = match name {
        ServerName::Untold => ToldName::Untold,
        ServerName::VirtualHost => ToldName::Verified,
        ServerName::Name(name) => ToldName::Name(name.clone()),
    };
    if let Some(client) = client {
        if client.password.is_some() {
            return Err("a key with a password cannot be read: store it without one".into());
        }
        if let (Some(certificate), Some(key)) = (&client.certificate, &client.key) {
            options.identity = Some(TlsIdentity::new(read(certificate)?, read(key)?));
        }
    }
    Ok(Tls::new(&options)?)
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))
}
