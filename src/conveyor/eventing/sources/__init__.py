"""What is outside becomes an event, the same whether a notice or a look told of it."""
