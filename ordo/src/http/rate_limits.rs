//! Rate limits, and a limit on what a principal has under way: a token bucket for each principal, and two for each address from which
//! requests come without a credential or with one that does not hold.

mod quotas;

use std::convert::Infallible;
use std::fmt::Write;
use std::future::{Ready, ready as at_once};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use access_control::{Principal, Role, looks_at_credential};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bounds::{BucketEmpty, BucketLevel, CallerKey, CapacityShare, KeyedCapacity, TokenBuckets, TokenRate};
use futures_util::future::Either;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use pin_project_lite::pin_project;
use problem::{ClientNetwork, Problem, ProblemType, RefusedCaller};
use tower::{Layer, Service};

pub use self::quotas::RateLimits;

/// The fields of draft-ietf-httpapi-ratelimit-headers-11.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The paths whose requests are never counted.
const PROBES: [&str; 2] = ["/health/live", "/health/ready"];

/// The rate limits of a process. Clones share the buckets.
#[derive(Debug, Clone)]
pub struct RequestRateLimiter(Arc<Limiter>);

#[derive(Debug)]
struct Limiter {
    /// Of addresses. Strangers can fill cells from any number of them, so principals have others.
    strangers: TokenBuckets,
    principals: TokenBuckets,
    /// Requests that principals have under way.
    under_way: KeyedCapacity<CallerKey>,
    under_way_per_principal: usize,
    anonymous: Option<Arc<RatePolicy>>,
    roles: [Option<Arc<RatePolicy>>; Role::ALL.len()],
}

/// A quota with what answers say of it.
#[derive(Debug)]
struct RatePolicy {
    name: &'static str,
    rate: TokenRate,
    header: HeaderValue,
}

impl RequestRateLimiter {
    /// `under_way`: how many requests one principal may have under way at the same time, over all its connections.
    #[must_use]
    pub fn new(quotas: &RateLimits, under_way: usize) -> Self {
        let policy = |name, rate: Option<TokenRate>| {
            let rate = rate?;
            let text = format!("{name:?};q={};w={}", rate.tokens(), rate.window().as_secs());
            Some(Arc::new(RatePolicy { name, rate, header: HeaderValue::try_from(text).ok()? }))
        };
        Self(Arc::new(Limiter {
            strangers: TokenBuckets::default(),
            principals: TokenBuckets::default(),
            // All of them together are limited by connections.
            under_way: KeyedCapacity::new(usize::MAX, under_way),
            under_way_per_principal: under_way,
            anonymous: policy("anonymous", quotas.anonymous()),
            roles: Role::ALL.map(|role| policy(role.as_str(), quotas.of(role))),
        }))
    }

    /// The layer before authentication. A request without a credential that is looked at takes a token of its address. One whose
    /// credential turns out not to be anybody's takes one of another bucket of its address. Once that is empty, no credential from there
    /// is looked at, so nobody can try them out at will. Requests that are authenticated take nothing here.
    #[must_use]
    pub fn per_address(&self) -> RateLimitLayer {
        let of_api = |request: &Request| {
            // Where everyone may come a credential says nothing, and must not be worth anything.
            match request.headers().contains_key(AUTHORIZATION) && looks_at_credential(request) {
                true => AddressBucket::Credentials,
                false => AddressBucket::Strangers,
            }
        };
        self.per_address_by(of_api)
    }

    /// The same for other routes than those of the API.
    pub(crate) fn per_address_by(&self, bucket: fn(&Request) -> AddressBucket) -> RateLimitLayer {
        RateLimitLayer { limiter: Arc::clone(&self.0), by: LimitedBy::Address(bucket) }
    }

    /// The layer after authentication. A request takes a token of its [`Principal`], which has one bucket whichever credential it uses,
    /// and one of its places until its answer has been sent.
    #[must_use]
    pub fn per_principal(&self) -> RateLimitLayer {
        RateLimitLayer { limiter: Arc::clone(&self.0), by: LimitedBy::Principal }
    }
}

impl RatePolicy {
    fn refusal(&self, empty: BucketEmpty) -> Response {
        let whose = if self.name == "anonymous" { "without a credential that holds" } else { "as this principal" };
        let detail = format!(
            "{} requests in {} s may be made {whose}; see RateLimit",
            self.rate.tokens(),
            self.rate.window().as_secs()
        );
        let seconds = Duration::from_secs(1);
        let problem = Problem::new(ProblemType::RateLimited, detail).retry_after(empty.retry_after.max(seconds));
        let mut answer = problem.into_response();
        self.describe(0, empty.full_in, answer.headers_mut());
        answer
    }

    /// Says in an answer how many requests are left, and when all are back.
    fn describe(&self, remaining: u32, full_in: Duration, headers: &mut HeaderMap) {
        let mut text = Text::default();
        let written = write!(text, "{:?};r={remaining};t={}", self.name, seconds(full_in));
        let value = HeaderValue::from_bytes(text.as_bytes());
        if let (Ok(()), Ok(value)) = (written, value) {
            headers.insert(POLICY, self.header.clone());
            headers.insert(LIMIT, value);
        }
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A short text that is not on the heap.
struct Text {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl Text {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Which bucket of its address a request takes a token of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressBucket {
    /// None: it is not counted.
    Uncounted,
    /// That of requests without a credential that is looked at.
    Strangers,
    /// That of credentials, if it turns out to be nobody's.
    Credentials,
}

/// Whose tokens the requests take.
#[derive(Debug, Clone, Copy)]
enum LimitedBy {
    Address(fn(&Request) -> AddressBucket),
    Principal,
}

/// Answers requests of callers that have used up their limit, and passes the others on.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    limiter: Arc<Limiter>,
    by: LimitedBy,
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> RateLimitService<S> {
        RateLimitService { limits: self.clone(), inner }
    }
}

/// Answers 429, or 503 where too much is under way, instead of the inner service when the caller has used up its limit.
#[derive(Debug, Clone)]
pub struct RateLimitService<S> {
    limits: RateLimitLayer,
    inner: S,
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for RateLimitService<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<LimitedFuture<S::Future>, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let admitted = if PROBES.contains(&request.uri().path()) {
            Ok(Admitted::default())
        } else {
            match self.limits.by {
                LimitedBy::Address(bucket) => self.limits.limiter.admit_address(&request, bucket(&request)),
                LimitedBy::Principal => self.limits.limiter.admit_principal(&request),
            }
        };
        match admitted {
            Ok(admitted) => Either::Left(LimitedFuture { answer: self.inner.call(request), admitted }),
            Err(refusal) => Either::Right(at_once(Ok(refusal.into_response()))),
        }
    }
}

impl Limiter {
    fn of(&self, role: Role) -> Option<&Arc<RatePolicy>> {
        self.roles.iter().zip(Role::ALL).find(|(_, of)| *of == role).and_then(|(policy, _)| policy.as_ref())
    }

    fn admit_address(self: &Arc<Self>, request: &Request, bucket: AddressBucket) -> Result<Admitted, LimitReached> {
        let (Some(policy), Some(peer)) = (self.anonymous.as_ref(), request.extensions().get::<ClientNetwork>()) else {
            return Ok(Admitted::default());
        };
        let with_credential = match bucket {
            AddressBucket::Uncounted => return Ok(Admitted::default()),
            AddressBucket::Strangers => false,
            AddressBucket::Credentials => true,
        };
        let caller = self.strangers.caller(&(peer, with_credential));
        let now = Instant::now();
        let after = if with_credential {
            let peeked = self.strangers.peek(caller, &policy.rate, now);
            peeked.map(|_| AfterAnswer::ChargeIfNobody(Arc::clone(self), Arc::clone(policy), caller))
        } else {
            let taken = self.strangers.take(caller, &policy.rate, now);
            taken.map(|tokens| AfterAnswer::Describe(Arc::clone(policy), tokens))
        };
        let after = after.map_err(|empty| LimitReached::Requests(Arc::clone(policy), empty))?;
        Ok(Admitted { after: Some(after), under_way: None })
    }

    fn admit_principal(&self, request: &Request) -> Result<Admitted, LimitReached> {
        let Some(principal) = request.extensions().get::<Principal>() else {
            return Ok(Admitted::default());
        };
        // Not its whole identity: with a new token it would be another principal.
        let caller = self.principals.caller(&(principal.role(), principal.customer_id(), principal.subject()));
        let mut under_way = self.under_way.share(Some(caller));
        under_way.grow_to(1).map_err(|_| LimitReached::UnderWay(self.under_way_per_principal))?;
        let mut after = None;
        if let Some(policy) = self.of(principal.role()) {
            let taken = self.principals.take(caller, &policy.rate, Instant::now());
            let tokens = taken.map_err(|empty| LimitReached::Requests(Arc::clone(policy), empty))?;
            after = Some(AfterAnswer::Describe(Arc::clone(policy), tokens));
        }
        Ok(Admitted { after, under_way: Some(under_way) })
    }
}

/// Why a request is not passed on.
enum LimitReached {
    Requests(Arc<RatePolicy>, BucketEmpty),
    /// How many requests the principal may have under way.
    UnderWay(usize),
}

impl IntoResponse for LimitReached {
    fn into_response(self) -> Response {
        match self {
            Self::Requests(policy, empty) => policy.refusal(empty),
            Self::UnderWay(most) => {
                let detail = format!("this principal has {most} requests under way already");
                let problem = Problem::new(ProblemType::TooManyConnections, detail);
                problem.retry_after(Duration::from_secs(1)).into_response()
            }
        }
    }
}

/// An extension of an answer: its request's permit, one of those that a principal may hold at once. Whoever sends the
/// answer keeps it until all is sent.
#[derive(Debug, Clone)]
pub(super) struct PrincipalRequestPermit {
    _place: Arc<CapacityShare<CallerKey>>,
}

/// Whether it refuses a caller of whom is not known who it is. Access control names the others.
fn is_to_nobody(answer: &Response) -> bool {
    let refused = answer.status().is_client_error() || answer.status().is_server_error();
    refused && answer.extensions().get::<RefusedCaller>().is_none()
}

/// What is done once a request is answered.
enum AfterAnswer {
    /// The answer says what is left.
    Describe(Arc<RatePolicy>, BucketLevel),
    /// Whether its credential is somebody's is known by its answer.
    ChargeIfNobody(Arc<Limiter>, Arc<RatePolicy>, CallerKey),
}

/// What is kept of a request that was passed on until it is answered.
#[derive(Default)]
struct Admitted {
    after: Option<AfterAnswer>,
    under_way: Option<CapacityShare<CallerKey>>,
}

pin_project! {
    /// The answer to a request that was passed on.
    pub struct LimitedFuture<F> {
        #[pin]
        answer: F,
        admitted: Admitted,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for LimitedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let request = self.project();
        let mut answer = ready!(request.answer.poll(context))?;
        let counted = match request.admitted.after.take() {
            Some(AfterAnswer::Describe(policy, tokens)) => Some((policy, tokens)),
            Some(AfterAnswer::ChargeIfNobody(limiter, policy, caller)) if is_to_nobody(&answer) => {
                let tokens = limiter.strangers.charge(caller, &policy.rate, Instant::now());
                Some((policy, tokens))
            }
            Some(AfterAnswer::ChargeIfNobody(..)) | None => None,
        };
        if let Some(place) = request.admitted.under_way.take() {
            answer.extensions_mut().insert(PrincipalRequestPermit { _place: Arc::new(place) });
        }
        if let Some((policy, tokens)) = counted {
            policy.describe(tokens.remaining, tokens.full_in, answer.headers_mut());
        }
        Poll::Ready(Ok(answer))
    }
}
