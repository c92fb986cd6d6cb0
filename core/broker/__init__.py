"""The message brokers: one small interface (`base`), and behind it the embedded queue and RabbitMQ."""
