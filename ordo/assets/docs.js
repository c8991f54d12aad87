// Operations with servers of their own are on the operate listener. The page's policy lets it ask its own server alone, so they have no
// button that would send them.
const noRequestsToOtherListeners = {
  statePlugins: {
    spec: {
      wrapSelectors: {
        allowTryItOutFor: (original, system) => (state, path, method) => {
          const operation = system.specSelectors.specJson().getIn(["paths", path, method]);
          return !operation?.has("servers") && original(state, path, method);
        },
      },
    },
  },
};

// Shows the document of this server. Swagger UI would ask a validator on the internet about it: that is turned off.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#document",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  plugins: [noRequestsToOtherListeners],
});
