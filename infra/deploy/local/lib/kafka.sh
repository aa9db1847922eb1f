# shellcheck shell=bash disable=SC2154 # `here` is set by `stack`
# Apache Kafka in KRaft mode, each node broker and controller at once. Sourced by `stack`.

# How many brokers there are: fixed by the first start, as the quorum is.
kafka_count() {
    local file=$STACK_DATA/brokers
    [[ -f $file ]] || echo "${KAFKA_BROKERS:-1}" >"$file"
    cat "$file"
}

kafka_servers() {
    local i
    for ((i = 1; i <= $(kafka_count); i++)); do echo "kafka-$i"; done
}

kafka_need() {
    need_program java openjdk-17-jre-headless
    jars kafka >/dev/null
}

# The settings of a node. Its time-outs are short, so that a killed broker is replaced in seconds; a
# broker that is alone is not replaced, and would only be fenced by itself on a busy machine.
kafka_settings() {
    local server=$1 i count voters="" replicas durable secure=""
    count=$(kafka_count)
    for ((i = 1; i <= count; i++)); do
        voters+=${voters:+,}$i@127.0.0.1:$(port "kafka-$i" controller)
    done
    replicas=$((count < 3 ? count : 3))
    durable=$((replicas < 3 ? 1 : 2))
    secured && secure=,SECURE://127.0.0.1:$(port "$server" tls)
    cat <<SETTINGS
process.roles=broker,controller
node.id=${server#kafka-}
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$(port "$server"),CONTROLLER://127.0.0.1:$(port "$server" controller)$secure
advertised.listeners=PLAINTEXT://127.0.0.1:${KAFKA_ADVERTISED:-$(port "$server")}$secure
log.dirs=$(folder "$server")/log
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$durable
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$durable
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$durable
group.initial.rebalance.delay.ms=0
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=200
group.consumer.min.assignment.interval.ms=0
group.consumer.assignment.interval.ms=0
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=3000
group.min.session.timeout.ms=1000
broker.session.timeout.ms=$((count > 1 ? 2000 : 6000))
broker.heartbeat.interval.ms=300
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
SETTINGS
    if secured; then tls_of_kafka; fi
}

# Runs a step of a broker whose files may not grow beyond KAFKA_FILE_MIB: to it, as a disk that is full.
kafka_room() (
    [[ -z ${KAFKA_FILE_MIB:-} ]] || ulimit -f $((KAFKA_FILE_MIB * 1024))
    "$@"
)

kafka_launch() {
    local server=$1 where lib heap=512m logging users=()
    process "$server" >/dev/null && return
    where=$(folder "$server")
    lib=$(jars kafka)
    logging=-Dlog4j2.configurationFile=file:$here/kafka/log4j2.properties
    (($(kafka_count) > 1)) && heap=256m
    kafka_settings "$server" >"$where/server.properties"
    if [[ ! -f $where/log/meta.properties ]]; then
        # Without a hyphen, which at the beginning would make it an option.
        [[ -f $STACK_DATA/cluster ]] ||
            head -c 16 /dev/urandom | base64 | tr '+/' '__' | tr -d '=\n' >"$STACK_DATA/cluster"
        secured && users=(--add-scram "SCRAM-SHA-512=[name=$TLS_USER,password=$TLS_PASSWORD]")
        java -Xmx64m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$logging" -cp "$lib/*" \
            kafka.tools.StorageTool format --cluster-id "$(cat "$STACK_DATA/cluster")" \
            "${users[@]}" --config "$where/server.properties" >"$where/formatted" 2>&1 ||
            fail "$server could not format its folder: $(tail -5 "$where/formatted")"
    fi
    kafka_room launch "$server" java "-Xms${KAFKA_HEAP:-$heap}" "-Xmx${KAFKA_HEAP:-$heap}" -XX:+UseG1GC \
        -XX:MaxGCPauseMillis=20 -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
        -Djava.net.preferIPv4Stack=true "$logging" -cp "$lib/*" kafka.Kafka "$where/server.properties"
}

kafka_started() { said "$1" | grep -q 'Kafka Server started'; }

# An ApiVersions request (key 18, version 0), answered without an error.
kafka_answers() {
    local answer
    answer=$(asks "$(port "$1")" '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x2a\xff\xff' 10)
    [[ ${answer:8} == 0000002a0000 ]]
}

kafka_ready() {
    wait_until "$1" kafka_started "$1"
    wait_until "$1" kafka_answers "$1"
}
