//! The dashboard: a page, its style and its scripts, embedded. Nothing is fetched from anywhere else, nothing is built.

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};
use tower_http::compression::CompressionLayer;

macro_rules! assets {
    ($($name:literal = $path:literal),+ $(,)?) => {
        /// Name, content.
        const ASSETS: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("dashboard/", $path)))),+];
    };
}

assets! {
    "index.html" = "index.html",
    "icon.svg" = "icon.svg",
    "style.css" = "style.css",
    "theme.js" = "theme.js",
    "base.js" = "base.js",
    "candles.js" = "candles.js",
    "charts.js" = "charts.js",
    "compare.js" = "compare.js",
    "limits.js" = "limits.js",
    "rolling.js" = "rolling.js",
    "settings.js" = "settings.js",
    "terms.js" = "terms.js",
    "trades.js" = "trades.js",
    "main.js" = "main.js",
    "overview.js" = "overview.js",
    "strategies.js" = "strategies.js",
    "strategy.js" = "strategy.js",
    "curves.js" = "curves.js",
    "record.js" = "record.js",
    "evidence.js" = "evidence.js",
    "portfolio.js" = "portfolio.js",
    "evolution.js" = "evolution.js",
    "optimizations.js" = "optimizations.js",
    "book.js" = "book.js",
    "book-parts.js" = "book-parts.js",
    "data.js" = "data.js",
    "media.js" = "media.js",
    "models.js" = "models.js",
    "operations.js" = "operations.js",
    "uPlot.iife.min.js" = "vendor/uPlot.iife.min.js",
    "uPlot.min.css" = "vendor/uPlot.min.css",
    "uPlot.LICENSE" = "vendor/uPlot.LICENSE",
    "lightweight-charts.js" = "vendor/lightweight-charts.js",
    "lightweight-charts.LICENSE" = "vendor/lightweight-charts.LICENSE",
}

/// What the page may do: run its own scripts, use its own styles, speak with its own server. Nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page at `/`, the rest below `/assets/`.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(async |headers: HeaderMap| serve("index.html", &headers)))
        .route("/assets/{*path}", get(async |Path(path): Path<String>, headers: HeaderMap| serve(&path, &headers)))
        .layer(CompressionLayer::new())
}

fn serve(name: &str, asked: &HeaderMap) -> Response {
    let Some((name, content)) = ASSETS.iter().find(|(known, _)| *known == name) else {
        return super::problem::Problem::new(StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    // By content: a browser asks again after each start, and gets what changed with an update.
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(content)[..12]));
    let common = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_TYPE, kind(name)),
    ];
    // A compressed answer's tag comes back marked as weak by some.
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.contains(tag.trim_matches('"'))) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, Body::from(*content)).into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let text = |name: &str| {
            let content = ASSETS.iter().find(|(known, _)| *known == name).unwrap().1;
            std::str::from_utf8(content).unwrap()
        };
        let page = text("index.html");
        assert!(!page.contains("style=") && !page.contains("onclick=") && !page.contains("<style"), "{page}");
        for tag in page.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link")) {
            // Below the page, under whichever path a proxy serves it.
            let source = tag.split("=\"assets/").nth(1).and_then(|rest| rest.split('"').next());
            assert!(source.is_some_and(|name| ASSETS.iter().any(|(known, _)| *known == name)), "{tag}");
        }
        for (name, content) in
            ASSETS.iter().filter(|(name, _)| name.ends_with(".js") && !name.starts_with("lightweight"))
        {
            let script = std::str::from_utf8(content).unwrap();
            assert!(
                !script.contains("innerHTML=") && !script.contains("innerHTML =") || name.starts_with("uPlot"),
                "{name}"
            );
            for import in script.split("from \"./").skip(1) {
                let wanted = import.split('"').next().unwrap();
                assert!(ASSETS.iter().any(|(known, _)| *known == wanted), "{name} imports {wanted}");
            }
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = serve("style.css", &HeaderMap::new());
        assert_eq!(
            (first.status(), first.headers()["content-type"].to_str().unwrap()),
            (StatusCode::OK, "text/css; charset=utf-8")
        );
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(serve("style.css", &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(serve("../Cargo.toml", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }
}
