-- While root instances have a budget each, what they use is counted under their ids too (kind 'root').
CREATE INDEX usage_root ON hub.usage (function) WHERE kind = 'root';
