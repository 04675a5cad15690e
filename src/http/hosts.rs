//! By which names the server may be called, and which pages may call it. Without this a page from anywhere could point
//! a name of its own at this machine and read and post as if it came from here.

use super::{HttpConfig, problem::Problem};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Names and addresses of this server.
pub(super) struct Hosts {
    listen: IpAddr,
    public: Vec<String>,
}

/// The host of `host` or `host:port`, in small letters and without a final dot; `None` for what is neither.
fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.rfind(':') {
        // The colons of an address in brackets are its own.
        Some(at) if !authority.ends_with(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    };
    let port_fits = port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok());
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    (fits && port_fits).then_some(host)
}

/// Why a name in the settings is none.
pub(super) fn problem_of(name: &str) -> Option<String> {
    let bare = name.parse::<IpAddr>().is_ok() || !name.contains(':') && host_of(name).is_some();
    (!bare).then(|| format!("{name:?} is no name such as sg-ai.example, without scheme, port or path"))
}

fn address_of(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

impl Hosts {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let plain = |name: &String| name.trim_end_matches('.').to_ascii_lowercase();
        Self { listen: config.listen_address.to_canonical(), public: config.public_names.iter().map(plain).collect() }
    }

    fn is_public(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        self.public.iter().any(|name| name == bare)
    }

    /// A name can be pointed anywhere by whoever owns it; an address cannot, so that of any interface is taken where
    /// all are listened on.
    fn is_ours(&self, host: &str) -> bool {
        let known = match address_of(host) {
            Some(address) => address.is_loopback() || self.listen.is_unspecified() || address == self.listen,
            None => host == "localhost" || host.ends_with(".localhost"),
        };
        known || self.is_public(host)
    }

    fn refusal(&self, request: &Request) -> Option<Problem> {
        let headers = request.headers();
        let named = texts(headers, &header::HOST);
        if named.len() > 1 {
            return Some(Problem::new(StatusCode::BAD_REQUEST, "a request has one Host"));
        }
        let target = request.uri().authority().map(|authority| authority.as_str());
        // Who sends none is no browser.
        for authority in named.iter().copied().chain([target].into_iter().flatten().map(Some)) {
            let host = authority.and_then(host_of);
            if !host.is_some_and(|host| self.is_ours(&host)) {
                let shown: String = authority.unwrap_or("(not text)").chars().take(100).collect();
                let why = format!(
                    "this server is not called {shown:?}; http.public_names in its settings lists the names it has \
                     beside localhost and the address it listens on"
                );
                return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, why));
            }
        }
        let called = named.first().copied().flatten().or(target);
        for origin in texts(headers, &header::ORIGIN) {
            if !origin.is_some_and(|origin| self.is_own_page(origin, called)) {
                let shown: String = origin.unwrap_or("(not text)").chars().take(100).collect();
                let why = format!("pages of {shown:?} may not call this server; its own may");
                return Some(Problem::new(StatusCode::FORBIDDEN, why));
            }
        }
        let fetched = |name: &'static str| {
            texts(headers, &HeaderName::from_static(name)).first().copied().flatten().unwrap_or_default()
        };
        let foreign = matches!(fetched("sec-fetch-site"), "cross-site" | "same-site");
        (foreign && fetched("sec-fetch-mode") != "navigate")
            .then(|| Problem::new(StatusCode::FORBIDDEN, "pages of other sites may link to this server, not call it"))
    }

    /// Whether a page comes from this server, under the name it was called by or one of its public names.
    fn is_own_page(&self, origin: &str, called: Option<&str>) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let same = called.is_some_and(|called| authority.eq_ignore_ascii_case(called));
        matches!(scheme, "http" | "https") && (same || host_of(authority).is_some_and(|host| self.is_public(&host)))
    }
}

/// The values of a header; `None` for one that is not text.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<Option<&'a str>> {
    headers.get_all(name).iter().map(|value| value.to_str().ok()).collect()
}

/// Refuses what is meant for another server or comes from another's page.
pub(super) async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match hosts.refusal(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(listen: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let public = ["sg-ai.example".to_owned(), "Shadow".to_owned(), "192.0.2.7".to_owned()];
        let plain = public.iter().map(|name| name.to_ascii_lowercase()).collect();
        let hosts = Hosts { listen: listen.parse().unwrap(), public: plain };
        let request = headers.iter().fold(Request::builder().uri(uri), |r, (name, value)| r.header(*name, *value));
        hosts.refusal(&request.body(Body::empty()).unwrap()).map_or(200, |problem| problem.status)
    }

    #[test]
    fn only_own_names_and_addresses_are_answered() {
        let named = |listen, host| status(listen, "/", &[("host", host)]);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "sg.localhost:1",
            "127.0.0.1:8080",
            "127.8.8.8",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "sg-ai.example",
            "SG-AI.example.:443",
            "shadow:8080",
            "192.0.2.7",
        ] {
            assert_eq!(named("127.0.0.1", host), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "10.0.0.1",
            "[::2]",
            "::1",
            "localhost:x",
            "localhost@evil.example",
            "",
            "sg-ai.example.evil.example",
        ] {
            assert_eq!(named("127.0.0.1", host), 421, "{host}");
        }
        assert_eq!((named("10.0.0.1", "10.0.0.1:80"), named("10.0.0.1", "10.0.0.2")), (200, 421));
        assert_eq!((named("0.0.0.0", "10.9.9.9:80"), named("0.0.0.0", "evil.example")), (200, 421));
        assert_eq!(status("127.0.0.1", "/", &[]), 200, "HTTP/1.0 needs no name");
        assert_eq!(status("127.0.0.1", "http://evil.example/", &[("host", "localhost")]), 421);
        assert_eq!(status("127.0.0.1", "/", &[("host", "localhost"), ("host", "evil.example")]), 400);
    }

    #[test]
    fn only_own_pages_may_call() {
        let from = |origin| status("127.0.0.1", "/", &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!((from("http://localhost:8080"), from("https://sg-ai.example")), (200, 200));
        for origin in ["http://localhost:3000", "http://evil.example", "null", "", "file://", "http://127.0.0.1:8080"] {
            assert_eq!(from(origin), 403, "{origin}");
        }
        let fetched = |site, mode| {
            let headers = [("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            status("127.0.0.1", "/", &headers)
        };
        assert_eq!((fetched("cross-site", "no-cors"), fetched("same-site", "cors")), (403, 403));
        assert_eq!((fetched("cross-site", "navigate"), fetched("same-origin", "cors")), (200, 200));
    }

    #[test]
    fn a_public_name_is_a_name() {
        let wrong = ["", "http://sg-ai.example", "sg-ai.example:443", "sg-ai.example/x", "a b", "*"];
        assert!(wrong.iter().all(|name| problem_of(name).is_some()));
        assert!(["sg-ai.example", "192.0.2.7", "::1", "shadow"].iter().all(|name| problem_of(name).is_none()));
    }
}
