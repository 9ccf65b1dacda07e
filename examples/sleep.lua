-- Durable waits: the wake-up time is in the journal. A run that was killed while it slept sleeps the rest only.
sleep "50ms"
sleep_until(now() + 0.05, { title = "the maintenance window" })
print(duration.format(duration.parse "1h30m"))
