"""The assistant's API, under `/a/assistant/v1`: ask (a stream on the OpenAI wire), candidates, feedback.

The answer itself takes the one pipeline of `cloud`, as a request for the model `assistant`; these routes only open the
door for a signed-in browser.
"""
