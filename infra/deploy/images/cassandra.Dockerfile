# One node of Cassandra from its Maven artefacts, durable before it acknowledges.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && mkdir -p /usr/share/man/man1 \
    && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* && useradd -u 999 cassandra \
    && mkdir -p /var/lib/cassandra && chown cassandra /var/lib/cassandra
COPY jars /opt/cassandra/libs
COPY cassandra.yaml jvm.options logback.xml cassandra.start /opt/cassandra/
USER cassandra
EXPOSE 9042
CMD ["bash", "/opt/cassandra/cassandra.start"]
