"""The message brokers: one small interface (`base`), the embedded queue and RabbitMQ behind it."""
