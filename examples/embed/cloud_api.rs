//! A manager of addresses that a cloud routes: it asks the cloud's API for them, over HTTP.

use std::{io, sync::Arc, time::Duration};

use http_body_util::Empty;
use hyper::{Method, Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::timeout;
use vrrp::{Vip, VipError, VipManager, async_trait};

pub(crate) struct CloudVips {
    pub(crate) api: String,
    /// Most clouds want the address on the machine's interface besides.
    pub(crate) interfaces: Arc<dyn VipManager>,
}

impl CloudVips {
    /// The whole set in one request. The cloud knows by its source whose it is.
    async fn ask(&self, method: Method, vips: &[Vip]) -> Result<(), VipError> {
        let all: Vec<_> = vips.iter().map(|vip| vip.address.to_string()).collect();
        let url = format!("{}/addresses/{}", self.api, all.join(","));
        let request = Request::builder().method(&method).uri(url);
        let asked = async {
            let request = request
                .body(Empty::<Bytes>::new())
                .map_err(io::Error::other)?;
            let client = Client::builder(TokioExecutor::new()).build_http();
            let answer = timeout(Duration::from_secs(2), client.request(request)).await?;
            match answer.map_err(io::Error::other)?.status() {
                status if status.is_success() => Ok(()),
                status => Err(io::Error::other(format!("the cloud says {status}"))),
            }
        };
        let (operation, tried) = ("ask the cloud for", vips.len());
        asked.await.map_err(|source| VipError::Refused {
            operation,
            vip: all.join(", "),
            failed: tried,
            tried,
            source,
        })
    }
}

#[async_trait]
impl VipManager for CloudVips {
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.interfaces.acquire(vips).await?;
        self.ask(Method::PUT, vips).await
    }

    async fn release(&self, vips: &[Vip]) -> Result<(), VipError> {
        let given_back = self.ask(Method::DELETE, vips).await;
        self.interfaces.release(vips).await.and(given_back)
    }

    async fn announce(&self, _: &[Vip]) -> Result<(), VipError> {
        Ok(()) // Nobody here believes ARP.
    }

    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError> {
        self.interfaces.list(interface).await
    }
}
