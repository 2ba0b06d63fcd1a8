"""Is the spread between system prompts real, and which user prompts show it?"""
