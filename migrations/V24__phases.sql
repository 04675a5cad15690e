-- When the phase of a deployment began, market time, UTC ms; NULL: with the deployment itself. A deployment grows at most
-- once at a point that is looked at, however often a daemon that was restarted looks at it.
alter table deployments add column phase_market_ms bigint;
