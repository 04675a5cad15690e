# syntax=docker/dockerfile:1
# Builds the one binary, and puts it into a small image that runs it as a user without rights.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ libssl-dev make perl pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY genome genome
COPY src src
COPY migrations migrations
COPY config config
COPY benches benches
RUN cargo build --release --locked --bin sg-ai && strip target/release/sg-ai

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/sg-ai --create-home --shell /usr/sbin/nologin sg-ai
COPY --from=build /src/target/release/sg-ai /usr/local/bin/sg-ai
USER sg-ai
ENV SG_DATA_DIR=/var/lib/sg-ai \
    SG_LOG_FORMAT=json \
    SG__HTTP__LISTEN_ADDRESS=0.0.0.0
VOLUME /var/lib/sg-ai
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s CMD ["sg-ai", "health", "--check", "live"]
ENTRYPOINT ["sg-ai"]
CMD ["run"]
