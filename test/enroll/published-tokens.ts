// The claims of identity tokens as the platforms publish them (Kubernetes: "Managing Service Accounts" and "Configure Service
// Accounts for Pods"; GitHub: "OpenID Connect reference"; GitLab: "OpenID Connect authentication using ID tokens"), with times
// put to now; and headers of the same form.

type Claims = Record<string, unknown>;
interface Published {
  readonly header: Readonly<Record<string, string>>;
  readonly claims: (audience: string, now: number) => Claims;
}

/** A projected service-account token, bound to a pod; it has no typ, and a list as its audience. */
export const KUBERNETES: Published = {
  header: { alg: 'RS256', kid: 'OAjVVaejWFc0Yt9ykr0_8lMMuRNs67OXTWHsN02Pkyw' },
  claims: (audience, now) => ({
    aud: [audience],
    exp: now + 3_607,
    iat: now,
    iss: 'https://kubernetes.default.svc',
    jti: 'ea28ed49-2e11-4280-9ec5-bc3d1d84661a',
    'kubernetes.io': {
      namespace: 'kube-system',
      node: { name: '127.0.0.1', uid: '58456cb0-dd00-45ed-b797-5578fdceaced' },
      pod: { name: 'coredns-69cbfb9798-jv9gn', uid: '778a530c-b3f4-47c0-9cd5-ab018fb64f33' },
      serviceaccount: { name: 'coredns', uid: 'a087d5a0-e1dd-43ec-93ac-f13d89cd13af' },
      warnafter: now + 3_607,
    },
    nbf: now,
    sub: 'system:serviceaccount:kube-system:coredns',
  }),
};

/** The same from before 1.30: there was no jti, and no node. */
export const OLDER_KUBERNETES: Published = {
  header: KUBERNETES.header,
  claims: (audience, now) => {
    const { jti: _jti, ...claims } = KUBERNETES.claims(audience, now);
    const { node: _node, ...bound } = claims['kubernetes.io'] as Claims;
    return { ...claims, 'kubernetes.io': bound };
  },
};

export const GITHUB: Published = {
  header: { typ: 'JWT', alg: 'RS256', x5t: 'example-thumbprint', kid: 'example-key-id' },
  claims: (audience, now) => ({
    jti: 'example-id',
    sub: 'repo:octo-org/octo-repo:environment:prod',
    environment: 'prod',
    aud: audience,
    ref: 'refs/heads/main',
    sha: 'example-sha',
    repository: 'octo-org/octo-repo',
    repository_owner: 'octo-org',
    actor_id: '12',
    repository_visibility: 'private',
    repository_id: '74',
    repository_owner_id: '65',
    run_id: 'example-run-id',
    run_number: '10',
    run_attempt: '2',
    runner_environment: 'github-hosted',
    actor: 'octocat',
    workflow: 'example-workflow',
    head_ref: '',
    base_ref: '',
    event_name: 'workflow_dispatch',
    ref_type: 'branch',
    job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main',
    iss: 'https://token.actions.githubusercontent.com',
    nbf: now - 600,
    exp: now + 300,
    iat: now,
  }),
};

export const GITLAB: Published = {
  header: { kid: 'caRgQAeHiutH35yUqrLlzROtApf_c8ZZ6XHswFBy0DM', typ: 'JWT', alg: 'RS256' },
  claims: (audience, now) => ({
    namespace_id: '72',
    namespace_path: 'my-group',
    project_id: '20',
    project_path: 'my-group/my-project',
    user_id: '1',
    user_login: 'sample-user',
    user_email: 'sample-user@example.com',
    user_identities: [
      { provider: 'github', extern_uid: '2435223452345' },
      { provider: 'bitbucket', extern_uid: 'john.smith' },
    ],
    pipeline_id: '574',
    pipeline_source: 'push',
    job_id: '302',
    ref: 'feature-branch-1',
    ref_type: 'branch',
    ref_path: 'refs/heads/feature-branch-1',
    ref_protected: 'false',
    groups_direct: ['mygroup/mysubgroup', 'myothergroup/myothersubgroup'],
    environment: 'test-environment2',
    environment_protected: 'false',
    deployment_tier: 'testing',
    environment_action: 'start',
    runner_id: 1,
    runner_environment: 'self-hosted',
    sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
    project_visibility: 'public',
    ci_config_ref_uri: 'gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main',
    ci_config_sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
    jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
    iss: 'https://gitlab.example.com',
    iat: now,
    nbf: now - 5,
    exp: now + 3_600,
    sub: 'project_path:my-group/my-project:ref_type:branch:ref:feature-branch-1',
    aud: audience,
  }),
};
