"""Who can describe a garment: the network of this project, or a model of the operator's choice.

captioner     the protocol that the captioning stage knows
local         the shipped network
prompted      any model that is shown the photo and asked, one photo at a time:
  gemini        Google's, by its own client
  openai        any server that speaks OpenAI's protocol (vLLM, Ollama)
  transformers  a directory of this machine
fallback      such a model, and the shipped network where it has nothing to say

prompt, answers    what every model is asked, and how its answer is read and checked
exchange, statuses HTTP under limits, and what an HTTP status means for a job
"""
