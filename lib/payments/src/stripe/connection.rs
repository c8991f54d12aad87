//! Requests to Stripe and their answers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::failure::{self, StripeRequestError};
use super::{StripeSettings, StripeSetupError, key};
use crate::PaymentError;

/// Far more than any answer to these requests.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Sends requests to Stripe; clones share its connections.
#[derive(Debug, Clone)]
pub(super) struct StripeClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Arc<str>,
    authorization: HeaderValue,
}

impl StripeClient {
    pub(super) fn new(settings: &StripeSettings) -> Result<Self, StripeSetupError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", settings.secret_key))
            .map_err(|_| StripeSetupError::SecretKey)?;
        authorization.set_sensitive(true);
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(settings.connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(StripeSetupError::Roots)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(https);
        Ok(Self { client, url: settings.url.as_str().into(), authorization })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PaymentError> {
        Ok(self.send(Method::GET, path, None, &[]).await?)
    }

    /// Only requests that may be carried out twice go without a key.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<T, StripeRequestError> {
        self.send(Method::POST, path, key, form).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<T, StripeRequestError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("idempotency-key", &*key::for_header(key));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| PaymentError::refused(format!("the request can't be written: {error}")))?;

        let response = self.client.request(request).await.map_err(|error| failure::of_sending(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        // Without the body the outcome is unknown, whatever the status.
        let body =
            body.map_err(|error| PaymentError::unknown(format!("Stripe's answer broke off: {error}")))?.to_bytes();
        if !head.status.is_success() {
            return Err(failure::of_answer(&head, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| PaymentError::unknown(format!("Stripe's answer can't be read: {error}")).into())
    }
}
