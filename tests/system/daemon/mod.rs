//! The daemon as its operators run it: the built binary, a real server, an exchange and webhooks on loopback.
//!
//! Nothing here looks inside the process. What happened is read from Postgres, HTTP, logs and the webhooks.

use crate::support;

mod audit;
mod book;
mod books;
mod browser;
mod demo;
mod interrupted;
mod islands;
mod json;
mod kills;
mod limits;
mod media;
mod model_watch;
mod models;
mod operators;
mod page;
mod process;
mod ranking;
mod review;
mod room;
mod seen;
mod service;
mod stage;
mod trader;
mod unfit;
mod upgraded;
mod webhooks;
mod work;
mod work_far;
mod work_kinds;
mod work_seconds;
