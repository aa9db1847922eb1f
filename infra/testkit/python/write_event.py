"""Writes one message of a member to a chat with Confluent's own AvroSerializer, then a record of a schema
of its own to a topic of its own, and reads that back.

    write_event.py <brokers> <registry> <chat> <author> <partition> <text>
"""

import sys
import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

ORDER = '{"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "pieces", "type": "int"}]}'
MORE = ORDER.replace("]}", ', {"name": "note", "type": "string", "default": ""}]}')
OTHER = ORDER.replace('"int"', '"string"')


def message_of(chat, author, text):
    return {
        "origin": {"chat": chat, "author": author, "device": "script", "client_id": "of-a-script",
                   "at": int(time.time() * 1000), "rules": 1},
        "body": {"kind": "text", "content_type": "text/plain", "bytes": text.encode(), "fields": {},
                 "e2e_key": None, "storage_key": None},
        "reply_to": None,
    }


def write(client, brokers, chat, author, partition, text):
    """One event under the schema that the registry has, of which this program holds no copy."""
    subject = "chats-cursus.chats.MessageSent"
    schema = client.get_latest_version(subject).schema
    serialize = AvroSerializer(client, schema, conf={
        "auto.register.schemas": False,
        "subject.name.strategy": topic_record_subject_name_strategy,
    })
    value = serialize(message_of(chat, author, text), SerializationContext("chats", MessageField.VALUE))
    producer = Producer({"bootstrap.servers": brokers})
    producer.produce("chats", key=chat, value=value, partition=partition)
    assert producer.flush(20) == 0, "it was not taken"


def own_schemas(client):
    """What a team does with schemas of its own."""
    context = SerializationContext("orders", MessageField.VALUE)
    value = AvroSerializer(client, ORDER)({"pieces": 3}, context)
    assert AvroDeserializer(client)(value, context) == {"pieces": 3}
    newer = AvroDeserializer(client, MORE)(value, context)
    assert newer == {"pieces": 3, "note": ""}, newer
    assert client.test_compatibility("orders-value", Schema(MORE, "AVRO"))
    assert not client.test_compatibility("orders-value", Schema(OTHER, "AVRO"))
    try:
        client.register_schema("orders-value", Schema(OTHER, "AVRO"))
        raise SystemExit("an incompatible schema was taken")
    except SchemaRegistryError as refused:
        assert (refused.http_status_code, refused.error_code) == (409, 409), refused
    assert client.get_latest_version("orders-value").version == 1
    client.register_schema("orders-value", Schema(MORE, "AVRO"))
    assert client.get_versions("orders-value") == [1, 2]
    client.set_compatibility("orders-value", "FULL_TRANSITIVE")
    assert client.get_compatibility("orders-value") == "FULL_TRANSITIVE"
    assert client.delete_version("orders-value", 2) == 2
    assert client.get_versions("orders-value") == [1]
    assert client.delete_subject("orders-value") == [1]
    assert client.delete_subject("orders-value", permanent=True) == [1, 2]
    assert "orders-value" not in client.get_subjects()


def main(brokers, registry, chat, author, partition, text):
    client = SchemaRegistryClient({"url": registry})
    write(client, brokers, chat, author, int(partition), text)
    own_schemas(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
