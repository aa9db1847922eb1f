"""Reads a topic from its beginning to its end with Confluent's own AvroDeserializer, one line of JSON a
record. Knows nothing of Cursus but where the brokers and the schema registry are.

    read_events.py <brokers> <registry> <topic>
"""

import json
import sys

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def records(brokers, topic):
    """Everything that stands in the topic now, partition by partition."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader", "enable.auto.commit": False})
    for partition in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        if first == end:
            continue
        consumer.assign([TopicPartition(topic, partition, first)])
        while True:
            message = consumer.poll(20)
            if message is None or message.error():
                raise SystemExit(f"no record of {topic}/{partition}: {message and message.error()}")
            yield message
            if message.offset() + 1 >= end:
                break
    consumer.close()


def plain(value):
    """Bytes as text, as far as they are some."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def main(brokers, registry, topic):
    client = SchemaRegistryClient({"url": registry})
    deserialize = AvroDeserializer(client)
    context = SerializationContext(topic, MessageField.VALUE)
    for message in records(brokers, topic):
        schema_id = int.from_bytes(message.value()[1:5], "big")
        subject = client.get_schema_versions(schema_id)[0].subject
        event = deserialize(message.value(), context)
        line = {"subject": subject, "id": schema_id, "partition": message.partition(),
                "key": plain(message.key()), "event": plain(event)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
