# failback in a small image: docker build -t failback .
#
# Both images can be replaced, by a mirror's or your own: --build-arg RUST_IMAGE=… --build-arg DEBIAN_IMAGE=…
ARG RUST_IMAGE=rust:1-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# What tells a profiler the lines of the code, most of the binary, is not shipped.
ENV CARGO_PROFILE_RELEASE_DEBUG=false
RUN cargo build --release --locked --bin failback

FROM ${DEBIAN_IMAGE}
# The state outlives the container in a volume; the user may read the configuration and write nothing else.
RUN useradd --system --user-group --home-dir /var/lib/failback failback \
    && install -d -o failback -g failback -m 750 /var/lib/failback \
    && install -d /etc/failback
COPY --from=build /src/target/release/failback /usr/local/bin/failback
# Whom alerts believe: mail servers and webhooks on the Internet.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER failback
VOLUME /var/lib/failback
# Good for the default [admin] listen; FAILBACK_ADMIN and FAILBACK_TOKEN tell where else the API answers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["failback", "status"]
ENTRYPOINT ["failback"]
CMD ["run", "-c", "/etc/failback/failback.toml"]
