# Two images of the same program:
# - the last stage, for production: what a container does is its command, `serve` with the roles in ORDO_ROLES, `migrate --queues`;
# - `--target local`, for trials: with the stand-ins for SQS and SES, too.
# Each holds the program, the libraries that it is linked against, certificates and notices. There is no shell and no distribution.

FROM rust:1.95.0-bookworm AS source
WORKDIR /src
COPY . .

# Dependencies and build results stay with the builder between builds; only the files of the image leave the cache.
FROM source AS build
ARG REVISION=
RUN --mount=type=cache,id=ordo-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=ordo-target,target=/src/target,sharing=locked \
    ORDO_COMMIT=${REVISION} cargo build --release --locked --package ordo --no-default-features --features dynamodb --bin ordo \
    && docker/image-root target/release/ordo /out --no-default-features --features dynamodb

FROM source AS local-build
RUN --mount=type=cache,id=ordo-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=ordo-target,target=/src/target,sharing=locked \
    cargo build --release --locked --package ordo --no-default-features --features dynamodb,inbox,queues --bin ordo \
    && docker/image-root target/release/ordo /out --no-default-features --features dynamodb,inbox,queues \
    && mkdir /queues

FROM scratch AS settings
LABEL org.opencontainers.image.title="Ordo" \
      org.opencontainers.image.description="An event-sourced order platform" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.documentation="/usr/share/doc/ordo"
# A settings file, if any, is mounted here as ordo.toml.
WORKDIR /etc/ordo
# Inside a container, loopback would reach nobody.
ENV PATH=/usr/local/bin ORDO_LISTEN=0.0.0.0:3000
EXPOSE 3000
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["ordo", "health"]
ENTRYPOINT ["ordo"]
CMD ["serve"]

FROM settings AS local
COPY --from=local-build /out /
# Where `queues` keeps what it has: a new volume takes the owner of the folder.
COPY --from=local-build --chown=65532:65532 /queues /var/lib/ordo-queues

FROM settings
ARG VERSION=0.2.0
ARG REVISION=
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out /
