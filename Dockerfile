# A static bigrain on an empty image, for a user without privileges.
#
#     docker build -t bigrain .
#     docker run -p 7700:7700 -v bigrain:/data -e BIGRAIN__KEYS='[{ name = "app", secret = "replace-this-secret", access = "write" }]' bigrain
#
# It listens where others reach it, so that it does not start without keys or a file of settings that has some (`-v
# $PWD/bigrain.toml:/bigrain.toml:ro bigrain serve --config /bigrain.toml`).
#
# Static with glibc, not with musl: the engine's memory settings are those of glibc's allocator, and Debian has no C++ compiler for
# musl, which RocksDB needs. What a static glibc cannot do, look up names of hosts by plugins and load libraries, bigrain does
# for GPUs only.

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# Naming the target keeps the flag from build scripts, which load libclang.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" && \
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked -p bigrain-tools --target "$target" && \
    install -D "target/$target/release/bigrain" /image/bigrain && mkdir /image/data

FROM scratch
COPY --from=build /image/bigrain /bigrain
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532
VOLUME /data
ENV BIGRAIN_DATA=/data BIGRAIN__LISTEN=0.0.0.0:7700
EXPOSE 7700
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/bigrain", "health"]
ENTRYPOINT ["/bigrain"]
CMD ["serve"]
