//! Web pages of nginx, with and without TLS, on loopback, and what keepalived's genhash makes of
//! them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/server.rs"]
mod server;

use std::{fs, path::Path, process::Command};

use health::{
    BodyDigest, Connect, HealthProbe, HttpError, HttpExpect, HttpPage, HttpProbe, HttpProblem,
    HttpVersion, ProbeError, Target, Tls, TlsOptions, TlsProbe, TlsProblem,
};
use lab::in_namespace;
use rcgen::{CertificateParams, KeyPair};
use server::{Server, block_on};
use tempfile::TempDir;

const VERSIONS: [HttpVersion; 3] = [HttpVersion::V1_0, HttpVersion::V1_0Close, HttpVersion::V1_1];

const PLAIN: u16 = 8080;
const PLAIN_HTTP_2: u16 = 8082;
const TLS: u16 = 8443;

const NGINX: &str = r#"
daemon off;
master_process off;
user root;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path client;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:8080 default_server;
        root www;
        location /locked {
            auth_basic "locked";
            auth_basic_user_file users;
        }
        location /broken { return 503; }
    }
    server {
        listen 127.0.0.1:8080;
        server_name www.example.net;
        location / { return 200 '{"host": "www", "ready": [true]}'; }
    }
    server {
        listen 127.0.0.1:8082 http2;
        root www;
    }
    server {
        listen 127.0.0.1:8443 ssl http2;
        server_name www.example.net;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        root www;
    }
}
"#;

/// nginx from a directory, with a page of several packets.
struct Nginx {
    server: Server,
    page: Vec<u8>,
    certificate: String,
}

impl Nginx {
    fn start(directory: &Path) -> Self {
        let page: Vec<u8> = (0..300_000_u32)
            .flat_map(|number| number.to_be_bytes())
            .collect();
        let names = vec!["www.example.net".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        fs::create_dir(directory.join("www")).unwrap();
        for (name, content) in [
            ("nginx.conf", NGINX.as_bytes()),
            ("users", b"me:{PLAIN}open sesame\n"),
            ("certificate.pem", certificate.as_bytes()),
            ("key.pem", key.serialize_pem().as_bytes()),
            ("www/page", &page),
            ("www/locked", b"inside"),
        ] {
            fs::write(directory.join(name), content).unwrap();
        }
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).args(["-c", "nginx.conf"]);
        Self {
            server: Server::start(&mut command, directory, PLAIN),
            page,
            certificate,
        }
    }

    fn at(&self, port: u16) -> Target {
        let mut target = self.server.target;
        target.address.set_port(port);
        target
    }
}

fn ask(path: &str, change: impl FnOnce(HttpPage) -> HttpPage) -> HttpProbe {
    let page = change(HttpPage::new(path).unwrap());
    HttpProbe::new(Connect::default(), page)
}

/// The digest that keepalived's program finds.
fn genhash(arguments: &[&str]) -> BodyDigest {
    let output = Command::new("genhash").args(arguments).output();
    let output = output.expect("keepalived's genhash is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digest = text.trim().parse();
    digest.unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_page_is_the_same_by_each_version_and_to_genhash() {
    in_namespace(|| {
        let directory = TempDir::new().unwrap();
        let nginx = Nginx::start(directory.path());
        let digest = genhash(&["-s", "127.0.0.1", "-p", "8080", "-u", "/page"]);
        assert_eq!(digest, digest.of_the_same_kind(&nginx.page));
        let by_tls = genhash(&["-S", "-s", "127.0.0.1", "-p", "8443", "-u", "/page"]);
        assert_eq!(by_tls, digest);

        let tls = Tls::new(&TlsOptions::trusting(nginx.certificate.clone())).unwrap();
        let expect = HttpExpect::default().digest(digest).limit(nginx.page.len());
        let probe = ask("/page", |page| page.expect(expect.clone()));
        let compliant = ask("/page", |page| page.expect(expect).tls_compliant()).tls(tls.clone());
        block_on(async {
            for version in VERSIONS {
                let probe = probe.clone().version(version);
                probe.probe(&nginx.at(PLAIN)).await.unwrap();
                let probe = probe.tls(tls.clone());
                probe.probe(&nginx.at(TLS)).await.unwrap();
                let compliant = compliant.clone().version(version);
                compliant.probe(&nginx.at(TLS)).await.unwrap();
            }
            let probe = probe.version(HttpVersion::V2);
            probe.probe(&nginx.at(PLAIN_HTTP_2)).await.unwrap();
            probe.tls(tls).probe(&nginx.at(TLS)).await.unwrap();
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn virtual_hosts_users_and_bad_pages_are_told_apart() {
    in_namespace(|| {
        let directory = TempDir::new().unwrap();
        let nginx = Nginx::start(directory.path());
        let status = async |probe: HttpProbe| match probe.probe(&nginx.at(PLAIN)).await {
            Ok(_) => None,
            Err(ProbeError::Http(HttpError { problem, .. })) => {
                let HttpProblem::Status { status, .. } = *problem else {
                    panic!("{problem}");
                };
                Some(status)
            }
            Err(error) => panic!("{error}"),
        };
        block_on(async {
            for version in VERSIONS {
                let ask =
                    |path, change: fn(HttpPage) -> HttpPage| ask(path, change).version(version);
                let json = |page: HttpPage| {
                    let expect = HttpExpect::default().json("/host", "www");
                    let page = page.host("www.example.net").unwrap();
                    page.expect(expect.json("/ready/0", true))
                };
                assert_eq!(status(ask("/", json)).await, None);
                assert_eq!(status(ask("/locked", |page| page)).await, Some(401));
                let good = |page: HttpPage| page.basic_auth("me", "open sesame").unwrap();
                assert_eq!(status(ask("/locked", good)).await, None);
                let bad = |page: HttpPage| page.basic_auth("me", "sesame").unwrap();
                assert_eq!(status(ask("/locked", bad)).await, Some(401));
                assert_eq!(status(ask("/missing", |page| page)).await, Some(404));
                assert_eq!(status(ask("/broken", |page| page)).await, Some(503));
                assert_eq!(status(ask("/page", HttpPage::head)).await, None);
            }
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_certificate_of_a_web_server_is_verified() {
    in_namespace(|| {
        let directory = TempDir::new().unwrap();
        let nginx = Nginx::start(directory.path());
        let verdict = async |options: &TlsOptions, port| {
            let probe = TlsProbe::new(Connect::default(), Tls::new(options).unwrap());
            match probe.probe(&nginx.at(port)).await {
                Ok(_) => None,
                Err(ProbeError::Tls(error)) => Some(*error.problem),
                Err(error) => panic!("{error}"),
            }
        };
        block_on(async {
            let mut options = TlsOptions::trusting(nginx.certificate.clone());
            assert_eq!(verdict(&options, TLS).await, None);
            assert_eq!(verdict(&options, PLAIN).await, Some(TlsProblem::NotTls));
            options.name = Some("mail.example.net".to_owned());
            let problem = verdict(&options, TLS).await;
            assert!(
                matches!(problem, Some(TlsProblem::WrongName { .. })),
                "{problem:?}"
            );
            let stranger = CertificateParams::new(vec!["x".to_owned()]).unwrap();
            let stranger = stranger.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let problem = verdict(&TlsOptions::trusting(stranger.pem()), TLS).await;
            assert!(
                matches!(problem, Some(TlsProblem::UnknownAuthority { .. })),
                "{problem:?}"
            );
            assert_eq!(verdict(&TlsOptions::insecure(), TLS).await, None);
        });
    });
}
