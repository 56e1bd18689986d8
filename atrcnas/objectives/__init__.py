"""What is optimised and what is measured: losses, label encoders, decoders, metrics, and figures over several tasks."""
