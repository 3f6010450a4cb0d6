"""KEDA: its external scaler, gRPC by which its operator asks what a Deployment's pods hold. Nothing is decided here."""
