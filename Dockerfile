# The image that deploy/release makes without Docker, for those who reach a registry with `debian`:
#
#   docker build --tag herald:0.1.0 FOLDER
#
# FOLDER is an unpacked release, whose programs are taken. deploy/image says what is in the image.
ARG DEBIAN=debian:bookworm-slim
FROM ${DEBIAN} AS debian
RUN apt-get update && apt-get install --yes --no-install-recommends git ca-certificates
COPY . /release
RUN /release/deploy/image root / /image /release/herald /release/herald-runner && \
    install -d -m 700 -o 65534 -g 65534 /image/data

FROM scratch
COPY --from=debian /image /
ENV PATH=/usr/bin HERALD_DATA_DIR=/data HERALD_LISTEN=0.0.0.0:8080 HERALD_EXECUTOR=docker
USER 65534:65534
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/herald"]
CMD ["serve"]
