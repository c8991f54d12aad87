# The document in 3.0 as progenitor takes it. It knows one type of success and one of failure of an operation, bodies only as
# `application/json`, and no builders for bodies that may be left out or for parameters of several forms.
del(.paths["/admin/replays"].post, .paths["/health/ready"])
| (.paths[][] | select(has("requestBody")) | .requestBody.required) = true
| (.paths[][].parameters[]? | select(.schema | has("anyOf")) | .schema) = { type: "string" }
| walk(if type == "object" and has("application/problem+json") then { "application/json": .["application/problem+json"] } else . end)
