//! Who may post strategies and backtests, and how many a minute. Stores nothing, and knows no strategy.

use super::{HttpConfig, problem::Problem};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use subtle::ConstantTimeEq;

/// Addresses that are remembered at most; those with the most left are forgotten first.
const MOST_ADDRESSES: usize = 4_096;

/// The bearer token that a request shows. The scheme is written in any case (RFC 9110).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Whether this token was shown, told in the same time whatever was shown.
fn shows(shown: Option<&str>, token: &SecretString) -> bool {
    shown.unwrap_or_default().as_bytes().ct_eq(token.expose_secret().as_bytes()).into()
}

/// The clients of the service.
pub(super) struct Clients {
    /// Who shows one of these may post; everybody where the first is not set.
    client_token: Option<SecretString>,
    action_token: Option<SecretString>,
    per_minute: f64,
    /// What an address has left, and when that was so.
    left: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Clients {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            client_token: config.client_token.clone(),
            action_token: config.action_token.clone(),
            per_minute: config.client_posts_per_minute.into(),
            left: Mutex::default(),
        }
    }

    fn may_post(&self, headers: &HeaderMap) -> bool {
        let shown = bearer(headers);
        let Some(token) = &self.client_token else { return true };
        shows(shown, token) || self.action_token.as_ref().is_some_and(|token| shows(shown, token))
    }

    /// Takes one from what an address has left.
    fn take(&self, address: IpAddr, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = self.per_minute / 60.0;
        let now_left = |(left, at): &(f64, Instant)| {
            (left + now.saturating_duration_since(*at).as_secs_f64() * per_second).min(self.per_minute)
        };
        if left.len() >= MOST_ADDRESSES && !left.contains_key(&address) {
            left.retain(|_, known| now_left(known) < self.per_minute);
            if left.len() >= MOST_ADDRESSES {
                let most = left.iter().max_by(|a, b| now_left(a.1).total_cmp(&now_left(b.1)));
                if let Some(address) = most.map(|(address, _)| *address) {
                    left.remove(&address);
                }
            }
        }
        let has = left.get(&address).map_or(self.per_minute, now_left);
        let granted = has >= 1.0;
        left.insert(address, (if granted { has - 1.0 } else { has }, now));
        granted
    }
}

/// What counts as one address: who has one of IPv6 has as many as they like of its network.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Lets through who may post, as often as is allowed.
pub(super) async fn admitted(State(clients): State<Arc<Clients>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    if !clients.may_post(request.headers()) {
        return Problem::new(StatusCode::UNAUTHORIZED, "the bearer token of http.client_token is needed")
            .into_response();
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    if let Some(peer) = peer
        && !clients.take(counted(peer), Instant::now())
    {
        let why = format!("one address may post {} times a minute (http.client_posts_per_minute)", clients.per_minute);
        return Problem::new(StatusCode::TOO_MANY_REQUESTS, why).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn clients(token: Option<&str>, per_minute: f64) -> Clients {
        let secret = |text: &str| SecretString::from(text.to_owned());
        Clients {
            client_token: token.map(secret),
            action_token: Some(secret("operator")),
            per_minute,
            left: Mutex::default(),
        }
    }

    fn showing(text: &str) -> HeaderMap {
        [(header::AUTHORIZATION, text.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for text in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(bearer(&showing(text)), Some("abc"), "{text}");
        }
        for text in ["Basic abc", "abc", "Bearerabc"] {
            assert_eq!(bearer(&showing(text)), None, "{text}");
        }
    }

    #[test]
    fn with_a_client_token_who_shows_it_or_the_operators_may_post() {
        let clients = clients(Some("client"), 1.0);
        for (text, may) in [("Bearer client", true), ("bearer operator", true), ("Bearer clien", false), ("x", false)] {
            assert_eq!(clients.may_post(&showing(text)), may, "{text}");
        }
        assert!(!clients.may_post(&HeaderMap::new()));
        assert!(super::tests::clients(None, 1.0).may_post(&HeaderMap::new()));
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let (clients, start) = (clients(None, 2.0), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let took: Vec<bool> = (0..3).map(|_| clients.take(one, start)).collect();
        assert_eq!(took, [true, true, false]);
        assert!(clients.take(other, start), "each address has its own");
        assert!(!clients.take(one, start + Duration::from_secs(29)));
        assert!(clients.take(one, start + Duration::from_secs(31)));
        for i in 0..10_000_u32 {
            clients.take(IpAddr::from(i.to_be_bytes()), start);
        }
        assert!(clients.left.lock().unwrap().len() <= MOST_ADDRESSES);
        let v6 = |text: &str| counted(text.parse().unwrap());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.1"), one);
    }
}
