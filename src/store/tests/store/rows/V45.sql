-- Where candles came from.
insert into market_sources (source, simulated) values ('http://127.0.0.1:9/', true);
