SELECT waits FROM due
