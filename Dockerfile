# certgate in a container: the gate (`certgate serve`) by default, any other command by its name.
#
#   docker build -t certgate .
#   docker run --read-only --tmpfs /tmp -v certgate:/var/lib/certgate -p 8443:8443 certgate \
#     serve --upstream http://prefect:4200
#
# It runs as 1001:1001, the ids of Prefect's own images and Helm charts, with a read-only root file system: all that it
# writes is in /var/lib/certgate, where `certgate init` has put certgate.yaml, certs/ and state/.
# For a build that can be repeated, pin the base image by its digest: node:26-trixie-slim@sha256:…
# (docker buildx imagetools inspect node:26-trixie-slim shows it).

ARG BASE=node:26-trixie-slim

# What is built is the same for every platform, so that it is built on the builder's own.
FROM --platform=$BUILDPLATFORM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.ts ./scripts/build.ts
COPY src ./src
RUN npm run build

FROM ${BASE}
# The base image's own user has other ids.
RUN groupadd --gid 1001 certgate \
    && useradd --uid 1001 --gid 1001 --home-dir /var/lib/certgate --no-create-home --shell /usr/sbin/nologin certgate \
    && install --directory --owner=1001 --group=1001 --mode=0700 /var/lib/certgate
WORKDIR /opt/certgate
# The built program holds the packages that it needs, and their licences; package.json says that it is made of modules.
COPY --from=build /build/package.json ./
COPY --from=build /build/dist ./dist
COPY LICENSE ./
RUN ln -s /opt/certgate/dist/main.js /usr/local/bin/certgate && chmod 0755 dist/main.js

LABEL org.opencontainers.image.title="certgate" \
      org.opencontainers.image.description="Mutual TLS, identities and an audit record for self-hosted Prefect" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
USER 1001:1001
# Where certgate.yaml is looked for. CERTGATE_CONFIG would ask for one in a sidecar, too, which has none.
WORKDIR /var/lib/certgate
VOLUME ["/var/lib/certgate"]
EXPOSE 8443
# That the gate is there, not that Prefect is: it tells clients to wait meanwhile.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["certgate", "health", "--live"]
# SIGTERM drains: give it as long as serve.drain (docker run --stop-timeout 310).
STOPSIGNAL SIGTERM
ENTRYPOINT ["certgate"]
CMD ["serve"]
