# shellcheck shell=bash disable=SC2154 # the places are set by `stack`
# With STACK_TLS=1: certificates for the servers, made once by openssl, and who may log in. Each server
# then takes TLS too: Kafka and Redis at a port of their own, Cassandra at its only one. Sourced by `stack`.

TLS_USER=cursus
TLS_PASSWORD=of-the-local-stack

secured() { [[ ${STACK_TLS:-0} == 1 ]]; }

# The folder with ca.pem, what it signed (server.pem: key and certificate; server.p12: the same), and
# stranger.pem, an authority that signed none of it.
tls_folder() {
    local where=$STACK_DATA/tls
    [[ -f $where/server.p12 ]] || tls_make "$where" >&2
    echo "$where"
}

tls_make() {
    local where=$1 name key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650)
    need_program openssl openssl
    mkdir -p "$where"
    for name in ca stranger; do
        openssl req -x509 "${key[@]}" -subj "/CN=$name of a local stack" -keyout "$where/$name.key" \
            -out "$where/$name.pem" 2>/dev/null
    done
    openssl req -x509 "${key[@]}" -subj /CN=localhost -CA "$where/ca.pem" -CAkey "$where/ca.key" \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
        -keyout "$where/server.key" -out "$where/server.crt" 2>/dev/null || fail "no certificates"
    cat "$where/server.key" "$where/server.crt" >"$where/server.pem"
    openssl pkcs12 -export -in "$where/server.pem" -passout "pass:$TLS_PASSWORD" -out "$where/server.p12"
    echo "$TLS_PASSWORD" >"$where/password"
}

# A listener of Kafka with TLS, at which users log in by SCRAM or PLAIN.
tls_of_kafka() {
    local at=listener.name.secure module=org.apache.kafka.common.security
    cat <<SETTINGS
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
$at.ssl.keystore.type=PEM
$at.ssl.keystore.location=$(tls_folder)/server.pem
$at.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
$at.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required;
$at.plain.sasl.jaas.config=$module.plain.PlainLoginModule required user_$TLS_USER="$TLS_PASSWORD";
SETTINGS
}

# Cassandra takes both at one port. Everybody logs in, as the user that it has from the beginning.
tls_of_cassandra() {
    cat <<SETTINGS
authenticator: PasswordAuthenticator
client_encryption_options:
  enabled: true
  optional: true
  keystore: $(tls_folder)/server.p12
  keystore_password: $TLS_PASSWORD
  store_type: PKCS12
SETTINGS
}

# Prints the options of a Redis with TLS.
tls_of_redis() {
    local where
    where=$(tls_folder)
    echo --tls-port "$(port "$1" tls)" --tls-cert-file "$where/server.crt" --tls-key-file "$where/server.key" \
        --tls-ca-cert-file "$where/ca.pem" --tls-auth-clients no
}

tls_addresses() {
    echo "TLS=file://$(tls_folder)"
    echo "KAFKA_TLS=kafka://127.0.0.1:$(port kafka-1 tls)"
    echo "REDIS_TLS=rediss://127.0.0.1:$(port redis tls)"
}
