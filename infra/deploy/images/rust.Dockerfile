# What Cursus is built in, in the place of the public image `rust`: a C compiler, OpenSSL's headers, and
# the toolchain of the machine that makes this.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends gcc g++ libc6-dev make pkg-config libssl-dev \
    && rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY rust /usr/local
