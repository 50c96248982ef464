-- Gives REST clients the status codes and error bodies that gRPC cannot express. Services send them as metadata:
-- x-http-code replaces the status, x-error-json the body. Native gRPC and gRPC-web responses are left alone.
local INTERNAL_REQUEST_HEADERS = {"x-user-id", "x-token-expires-at", "x-http-code", "x-error-json"}

-- Headers that HTTP allows and gRPC does not would become a server's error. Nobody here reads them.
local function remove_what_grpc_refuses(headers)
  local refused = {}
  for name, value in pairs(headers) do
    if string.sub(name, 1, 1) ~= ":" and (string.find(name, "[^%w_.-]") or string.sub(name, -4) == "-bin"
        or string.find(value, "[^\32-\126]")) then
      refused[#refused + 1] = name
    end
  end
  for _, name in ipairs(refused) do headers:remove(name) end
end

-- MAX_BODY_BYTES is set above, where this is rendered. A length that is told beforehand need not be buffered first.
local function is_too_large(headers)
  local length = tonumber(headers:get("content-length") or "")
  return length and length > MAX_BODY_BYTES
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if is_too_large(headers) then return handle:respond({[":status"] = "413"}, "") end
  for _, name in ipairs(INTERNAL_REQUEST_HEADERS) do headers:remove(name) end
  if string.find(headers:get("content-type") or "", "application/grpc", 1, true) == 1 then
    handle:streamInfo():dynamicMetadata():set("kinemesh", "grpc", true)
  else
    remove_what_grpc_refuses(headers)
  end
end

local function replace_body(handle, json)
  local size = handle:body(true):setBytes(json)
  -- Taken anew: while the body was waited for, what was taken before has ended.
  local headers = handle:headers()
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(size))
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local code, json = headers:get("x-http-code"), headers:get("x-error-json")
  -- Envoy's own challenge would repeat the request's URL, and with it a token in the query.
  if headers:get("www-authenticate") or headers:get(":status") == "401" then
    headers:replace("www-authenticate", "Bearer")
  end
  if headers:get(":status") == "429" and not headers:get("retry-after") then
    headers:add("retry-after", tostring(math.max(1, tonumber(headers:get("x-ratelimit-reset") or "") or 1)))
  end
  local metadata = handle:streamInfo():dynamicMetadata():get("kinemesh")
  if metadata and metadata["grpc"] then return end
  headers:remove("x-http-code")
  headers:remove("x-error-json")
  if code then headers:replace(":status", code) end
  if json then replace_body(handle, json) end
end
