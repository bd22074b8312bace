# A static binary in an image with nothing else: no shell, no libc, not root.
#   docker build --tag trierarch .

FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base cmake perl
WORKDIR /source
COPY . .
# Alpine's own target is static.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --profile dist --locked --package app && cp target/dist/trierarch /trierarch

FROM gcr.io/distroless/static-debian13:nonroot
COPY --from=build /trierarch /usr/local/bin/trierarch
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Readiness and debug pages, ADS, ADS over TLS, metrics, webhooks.
EXPOSE 8080 15010 15012 15014 15017
ENTRYPOINT ["/usr/local/bin/trierarch"]
CMD ["discovery"]
