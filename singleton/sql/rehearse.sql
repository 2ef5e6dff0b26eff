SELECT singleton_rehearse()
