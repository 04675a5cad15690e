insert into model_watch (model, day_ms, at_market_ms, state, reason) values ('trend', 0, 1, 'failing', 'no candles');
