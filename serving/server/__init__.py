"""The embedded server: TensorFlow Serving's protocols where TensorFlow Serving cannot run.

It is not TensorFlow Serving. `serving.server.embedded.EmbeddedServer` is the way in.
"""
