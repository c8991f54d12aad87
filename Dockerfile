# One image for every part of the platform: what a container does is its command, `serve` with the roles in ORDO_ROLES,
# `migrate --queues`, `inbox`.

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# Dependencies and build results stay with the builder between builds; only the program leaves the cache.
RUN --mount=type=cache,id=ordo-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=ordo-target,target=/src/target,sharing=locked \
    cargo build --release --locked --package ordo --no-default-features --features dynamodb --bin ordo \
    && mkdir /out \
    && cp target/release/ordo /out/ordo

# The glibc that the program was linked against.
FROM debian:12.15-slim
# AWS is reached over TLS, and its certificates are checked against these.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ordo /usr/local/bin/ordo
# A settings file, if any, is mounted here as ordo.toml.
WORKDIR /etc/ordo
# Inside a container, loopback would reach nobody.
ENV ORDO_LISTEN=0.0.0.0:3000
EXPOSE 3000
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["ordo", "health"]
ENTRYPOINT ["ordo"]
CMD ["serve"]
