LISTEN singleton
