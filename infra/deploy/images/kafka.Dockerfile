# Kafka from its Maven artefacts, which takes its settings as the public image `apache/kafka` does.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && mkdir -p /usr/share/man/man1 \
    && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* && useradd -u 1000 appuser \
    && mkdir -p /var/lib/kafka/data && chown appuser /var/lib/kafka/data
COPY jars /opt/kafka/libs
COPY log4j2.properties kafka.start /opt/kafka/
USER appuser
EXPOSE 9092
CMD ["bash", "/opt/kafka/kafka.start"]
